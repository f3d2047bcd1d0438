//! Names of PCI functions, from the system's `pci.ids` (package `pci.ids` or `hwdata`; the format is in its first lines).

use super::Tree;

/// The names that the system knows; none where it has no `pci.ids`.
#[derive(Debug, Default)]
pub struct Names {
    text: String,
}

impl Names {
    /// Reads `pci.ids`, where distributions put it.
    pub fn read(tree: &Tree) -> Names {
        const PLACES: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
        let text = PLACES.into_iter().find_map(|path| tree.text(path));
        Names {
            text: text.unwrap_or_default(),
        }
    }

    /// Returns the name of a device behind its vendor's; the vendor's alone where the device has none.
    pub fn device(&self, vendor: u16, device: u16) -> Option<String> {
        let (vendor, devices) = entry(&self.text, 0, &format!("{vendor:04x}"))?;
        Some(match entry(devices, 1, &format!("{device:04x}")) {
            Some((device, _)) => format!("{vendor} {device}"),
            None => vendor.into(),
        })
    }

    /// Returns the name of a class of three bytes: of its subclass, else of its base class.
    pub fn class(&self, class: u32) -> Option<&str> {
        let [_, base, sub, _] = class.to_be_bytes();
        let (base, subs) = entry(&self.text, 0, &format!("C {base:02x}"))?;
        let sub = entry(subs, 1, &format!("{sub:02x}"));
        Some(sub.map_or(base, |(name, _)| name))
    }
}

/// Finds `key` among the lines that `depth` tabs indent, up to the first that fewer indent; returns its name, and the text
/// after its line.
fn entry<'a>(text: &'a str, depth: usize, key: &str) -> Option<(&'a str, &'a str)> {
    let mut rest = text;
    while let Some((line, after)) = rest
        .split_once('\n')
        .or((!rest.is_empty()).then_some((rest, "")))
    {
        rest = after;
        let unindented = line.trim_start_matches('\t');
        if unindented.trim().is_empty() || unindented.starts_with('#') {
            continue;
        }
        let tabs = line.len() - unindented.len();
        if tabs < depth {
            return None;
        }
        let name = unindented.strip_prefix(key).filter(|_| tabs == depth);
        if let Some(name) = name.and_then(|name| name.strip_prefix("  ")) {
            return Some((name.trim(), after));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\n\n\
        1af4  Red Hat, Inc.\n\
        \t1000  Virtio network device\n\
        \t\t1af4 0001  Virtio network device, an example\n\
        # another\n\
        \t1041  Virtio 1.0 network device\n\
        8086  Intel Corporation\n\
        \t1572  Ethernet Controller X710\n\
        C 12  Processing accelerators\n\
        \t00  Processing accelerators\n\
        \t01  SNIA Smart Data Accelerator Interface (SDXI) controller\n\
        C 13  Non-Essential Instrumentation";

    #[test]
    fn names_are_found_where_they_belong() {
        let names = Names { text: TEXT.into() };
        let device = |vendor, device| names.device(vendor, device);
        assert_eq!(
            device(0x1af4, 0x1041).as_deref(),
            Some("Red Hat, Inc. Virtio 1.0 network device")
        );
        assert_eq!(
            device(0x1af4, 0x1572).as_deref(),
            Some("Red Hat, Inc."),
            "another vendor's"
        );
        assert_eq!(
            device(0x1af4, 0x1af4).as_deref(),
            Some("Red Hat, Inc."),
            "a subsystem's"
        );
        assert_eq!(device(0x1234, 0xb0f5), None);
        assert_eq!(
            names.class(0x12_0100),
            Some("SNIA Smart Data Accelerator Interface (SDXI) controller")
        );
        assert_eq!(names.class(0x12_7700), Some("Processing accelerators"));
        assert_eq!(
            names.class(0x13_0000),
            Some("Non-Essential Instrumentation")
        );
        assert_eq!(names.class(0xff_0000), None);
        assert_eq!(Names::default().class(0), None);
    }
}
