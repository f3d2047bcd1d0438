//! The kernel's command line, as the kernel itself takes it apart.

use super::Tree;

/// The words of the command line that are the kernel's.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    /// Reads them. White space between quotes divides nothing, and what follows `--` is for init.
    pub(crate) fn read(tree: &Tree) -> Arguments {
        let line = tree.text("/proc/cmdline").unwrap_or_default();
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for letter in line.chars() {
            match letter {
                '"' => is_quoted = !is_quoted,
                space if space.is_whitespace() && !is_quoted => words.push(String::new()),
                other => words
                    .last_mut()
                    .into_iter()
                    .for_each(|word| word.push(other)),
            }
        }
        words.retain(|word| !word.is_empty());
        let kernels = words.into_iter().take_while(|word| word != "--");
        Arguments(kernels.collect())
    }

    /// Returns the words whose name is as wanted, in order.
    pub(crate) fn named(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        let words = self.0.iter().map(String::as_str);
        words.filter(move |word| wanted(&name(word)))
    }

    /// Returns the last word `NAME=LIST` whose list has one of `elements`: each overrules those before it.
    pub(crate) fn last_with(&self, wanted: &str, elements: &[&str]) -> Option<&str> {
        let words = self.named(|name| name == wanted);
        words
            .filter(|word| elements.iter().any(|one| has(word, one)))
            .last()
    }
}

/// Returns the name of an argument. The kernel takes `-` and `_` for the same.
fn name(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default();
    name.replace('-', "_")
}

/// Tells whether the value of an argument, a list with commas, has an element.
pub(crate) fn has(word: &str, element: &str) -> bool {
    let list = word.split_once('=').map_or("", |(_, list)| list);
    list.split(',').any(|one| one == element)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn words_are_those_that_the_kernel_sees() {
        let machine = FakeMachine::new();
        machine.write(
            "/proc/cmdline",
            "root=/dev/vda dyndbg=\"file x +p; iommu=off\" iommu=pt,off xintel_iommu=off intel-iommu=on,sm_on \
             intel_iommu=off -- amd_iommu=off\n",
        );
        let arguments = Arguments::read(&machine.tree());
        let of = |wanted: &str| Vec::from_iter(arguments.named(|name| name == wanted));
        assert_eq!(of("iommu"), ["iommu=pt,off"]);
        assert_eq!(
            of("intel_iommu"),
            ["intel-iommu=on,sm_on", "intel_iommu=off"]
        );
        assert!(of("amd_iommu").is_empty(), "init's");
        let last = |elements: &[&str]| arguments.last_with("intel_iommu", elements);
        assert_eq!(last(&["on", "off"]), Some("intel_iommu=off"));
        assert_eq!(last(&["sm_on"]), Some("intel-iommu=on,sm_on"));
        assert!(has("iommu=pt,off", "off") && !has("iommu=pt,offer", "off"));
    }
}
