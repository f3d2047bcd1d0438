//! Limits of this process.

use super::Tree;

/// A limit of this process, by /proc/self/limits; `None` is none.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// What holds.
    pub(crate) soft: Option<u64>,
    /// What the process may raise it to.
    pub(crate) hard: Option<u64>,
}

impl Limit {
    /// Bytes of memory that are locked, as all that a device reaches is.
    pub(crate) const LOCKED_MEMORY: &str = "Max locked memory";
    /// Descriptors.
    pub(crate) const OPEN_FILES: &str = "Max open files";

    /// Reads the limit of a name, or says why there is none.
    pub(crate) fn read(tree: &Tree, name: &str) -> Result<Limit, String> {
        let text = tree.text("/proc/self/limits").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let absent = || format!("/proc/self/limits has no `{name}`");
        let mut words = line.ok_or_else(absent)?.split_whitespace();
        let mut next = || match words.next().ok_or_else(absent)? {
            "unlimited" => Ok(None),
            number => number
                .parse()
                .map(Some)
                .map_err(|_| format!("`{number}` is no limit")),
        };
        Ok(Limit {
            soft: next()?,
            hard: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn limits_are_read_by_name_and_say_what_is_missing() {
        let machine = FakeMachine::new();
        machine.write(
            "/proc/self/limits",
            "Limit Soft Hard Units\nMax locked memory 65536 unlimited bytes\nMax open files many 9 files\nMax\n",
        );
        let read = |name| Limit::read(&machine.tree(), name);
        let (soft, hard) = (Some(65536), None);
        assert_eq!(read(Limit::LOCKED_MEMORY), Ok(Limit { soft, hard }));
        assert_eq!(read(Limit::OPEN_FILES), Err("`many` is no limit".into()));
        let absent = read("Max wishes").unwrap_err();
        assert_eq!(absent, "/proc/self/limits has no `Max wishes`");
    }
}
