//! Processes that hold files through which devices are used: open, or mapped after they were closed.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::{Bdf, Function, Tree};

/// A process that holds a file of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Opener {
    /// Process id.
    pub pid: u32,
    /// Name of its program, as the kernel cuts it.
    pub command: String,
    /// The file: a device node, a file of sysfs, or one of /proc/bus/pci.
    pub node: String,
    /// What of the file it has mapped, first byte and length; `None` for a descriptor.
    pub mapped: Option<(u64, u64)>,
}

impl fmt::Display for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, command, node) = (self.pid, &self.command, &self.node);
        let how = self.mapped.map_or("open", |_| "mapped");
        write!(f, "process {pid} ({command}) has {node} {how}")
    }
}

/// Files of devices that processes hold, as far as this user may see: root sees all.
///
/// To find them all processes are looked at: once, when it is asked for the first time.
#[derive(Debug)]
pub struct Openers {
    tree: Tree,
    found: OnceCell<Vec<Opener>>,
}

impl Openers {
    /// Names the machine whose processes are looked at.
    pub fn read(tree: &Tree) -> Openers {
        Openers {
            tree: tree.clone(),
            found: OnceCell::new(),
        }
    }

    /// Looks at the descriptors and mappings of all processes.
    fn all(&self) -> &[Opener] {
        self.found.get_or_init(|| {
            let pids = self.tree.names("/proc").into_iter();
            let pids = pids.filter_map(|name| name.parse().ok());
            pids.flat_map(|pid| held(&self.tree, pid)).collect()
        })
    }

    /// Returns those who hold one of `nodes`.
    pub fn of(&self, nodes: &[String]) -> Vec<&Opener> {
        let wanted = |opener: &&Opener| nodes.contains(&opener.node);
        self.all().iter().filter(wanted).collect()
    }

    /// Returns those who hold a function: by one of `nodes`, by its files in sysfs and /proc/bus/pci, or by its memory
    /// in /dev/mem. Each is told once for each file.
    pub fn of_function(&self, function: &Function, nodes: &[String]) -> Vec<&Opener> {
        let holds = |opener: &&Opener| {
            nodes.contains(&opener.node)
                || owner(&opener.node) == Some(function.bdf)
                || (opener.node == "/dev/mem" && overlaps(function, opener.mapped))
        };
        let mut found: Vec<_> = self.all().iter().filter(holds).collect();
        found.dedup_by_key(|opener| (opener.pid, &opener.node));
        found
    }
}

/// Returns the function that a file gives access to: `resource0`, `resource0_wc`, `config` and `rom` in sysfs, and
/// configuration space in /proc/bus/pci.
fn owner(path: &str) -> Option<Bdf> {
    if let Some(place) = path.strip_prefix("/proc/bus/pci/") {
        let place = place.replace('/', ":");
        // Functions of the first domain are named without it.
        let full = format!("0000:{place}");
        return full.parse().or_else(|_| place.parse()).ok();
    }
    let (directory, file) = path.strip_prefix("/sys/")?.rsplit_once('/')?;
    let is_access = file.starts_with("resource") || file == "config" || file == "rom";
    let bdf = directory.rsplit('/').next()?;
    is_access.then(|| bdf.parse().ok()).flatten()
}

/// Tells whether a mapping of all memory has some of a function's.
fn overlaps(function: &Function, mapped: Option<(u64, u64)>) -> bool {
    let Some((first, bytes)) = mapped else {
        return false;
    };
    let mapped = first..first.saturating_add(bytes);
    let memory = function.bars.iter().filter(|bar| !bar.io_ports);
    let mut ranges =
        memory.filter_map(|bar| Some(bar.start?..bar.start?.saturating_add(bar.bytes)));
    ranges.any(|range: Range<u64>| range.start < mapped.end && mapped.start < range.end)
}

/// Returns the files of devices that a process holds, descriptors before mappings, each once.
fn held(tree: &Tree, pid: u32) -> BTreeSet<Opener> {
    let mappings = tree.text(&format!("/proc/{pid}/maps")).unwrap_or_default();
    let mappings = mappings.lines().filter_map(mapping);
    let open = opened(tree, pid).into_iter().map(|node| (node, None));
    let held: BTreeSet<_> = open.chain(mappings).collect();
    if held.is_empty() {
        return BTreeSet::new();
    }
    let command = tree.text(&format!("/proc/{pid}/comm")).unwrap_or_default();
    let opener = |(node, mapped)| Opener {
        pid,
        command: command.clone(),
        node,
        mapped,
    };
    held.into_iter().map(opener).collect()
}

/// Returns the files of devices that a process has open.
fn opened(tree: &Tree, pid: u32) -> Vec<String> {
    let descriptors = tree.names(&format!("/proc/{pid}/fd")).into_iter();
    descriptors
        .filter_map(|fd| {
            let target = tree.target(&format!("/proc/{pid}/fd/{fd}"))?;
            match target.as_str() {
                "anon_inode:[vfio-device]" => vfio_config(tree, pid, &fd),
                _ => device_file(&target),
            }
        })
        .collect()
}

/// A device that was opened by its group has no node; newer kernels (6.17) tell its place in sysfs. Whoever has it has
/// all of its files.
fn vfio_config(tree: &Tree, pid: u32, fd: &str) -> Option<String> {
    let text = tree.text(&format!("/proc/{pid}/fdinfo/{fd}"))?;
    let mut lines = text.lines();
    let path = lines.find_map(|line| line.strip_prefix("vfio-device-syspath:"))?;
    Some(format!("{}/config", path.trim()))
}

/// Reads `FIRST-END MODE OFFSET DEVICE INODE PATH`, numbers in hexadecimal (proc_pid_maps(5)); `None` where it maps no
/// file of a device.
fn mapping(line: &str) -> Option<(String, Option<(u64, u64)>)> {
    let path = device_file(&line[line.find('/')?..])?;
    let mut words = line.split_whitespace();
    let number = |word: &str| u64::from_str_radix(word, 16).ok();
    let (first, end) = words.next()?.split_once('-')?;
    let bytes = number(end)?.checked_sub(number(first)?)?;
    let offset = number(words.nth(1)?)?;
    Some((path, Some((offset, bytes))))
}

/// Returns a path where it may be that of a device. A node that was removed in the meantime is still held.
fn device_file(path: &str) -> Option<String> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let is_node = path.starts_with("/dev/") && !path.starts_with("/dev/shm/");
    (is_node || owner(path).is_some()).then(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_give_access_to_a_function() {
        let bdf = |text: &str| text.parse().ok();
        let at = "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0";
        for file in ["resource0", "resource2_wc", "config", "rom"] {
            assert_eq!(owner(&format!("{at}/{file}")), bdf("0000:01:00.0"));
        }
        assert_eq!(owner(&format!("{at}/uevent")), None);
        assert_eq!(owner(&format!("{at}/net/eth0/config")), None);
        assert_eq!(owner("/proc/bus/pci/01/00.0"), bdf("0000:01:00.0"));
        assert_eq!(owner("/proc/bus/pci/10000:01/00.1"), bdf("10000:01:00.1"));
        assert_eq!(owner("/proc/bus/pci/devices"), None);
    }

    #[test]
    fn a_mapping_has_its_place_in_the_file() {
        let line = "7f0000001000-7f0000003000 rw-s f0000000 00:06 12   /dev/mem";
        let expected = ("/dev/mem".to_string(), Some((0xf000_0000, 0x2000)));
        assert_eq!(mapping(line), Some(expected));
        for line in [
            "",
            "7f00-7f01 r--p 0 0:0 0 [heap]",
            "x rw-s 0 0:0 0 /dev/mem",
            "7-8 r 0 0 1 /lib/x",
        ] {
            assert_eq!(mapping(line), None, "{line}");
        }
    }
}
