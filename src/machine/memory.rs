//! Memory that can be had, in the whole machine and by NUMA node.
//!
//! These numbers are old as soon as they are read: whether memory is there is decided by the allocation itself.

use super::Tree;

/// The numbers of a file `meminfo`.
#[derive(Debug)]
pub(crate) struct Meminfo(String);

impl Meminfo {
    /// Returns the value behind a key such as `MemTotal`, in bytes. Lines of a node have `Node 0` in front.
    pub(crate) fn bytes(&self, key: &str) -> Option<u64> {
        let key = format!("{key}:");
        let values = self.0.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            words.find(|word| *word == key).map(|_| words)
        });
        let kib: u64 = values?.next()?.parse().ok()?;
        kib.checked_mul(1024)
    }
}

impl Tree {
    /// Reads the numbers of the machine, or of one node.
    pub(crate) fn meminfo(&self, node: Option<u32>) -> Option<Meminfo> {
        let path = match node {
            None => "/proc/meminfo".into(),
            Some(node) => format!("/sys/devices/system/node/node{node}/meminfo"),
        };
        self.text(&path).map(Meminfo)
    }

    /// Returns how many bytes of ordinary memory can be had, as far as the kernel tells.
    ///
    /// On a node, file pages count as available: the kernel drops them before it gives up.
    pub(crate) fn available_memory(&self, node: Option<u32>) -> Option<u64> {
        let meminfo = self.meminfo(node)?;
        if node.is_none() {
            return meminfo.bytes("MemAvailable");
        }
        let files = meminfo.bytes("FilePages")?;
        let files = files.saturating_sub(meminfo.bytes("Shmem")?);
        meminfo.bytes("MemFree")?.checked_add(files)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let machine = FakeMachine::new();
        machine.write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    8 kB\n");
        machine.write(
            "sys/devices/system/node/node1/meminfo",
            "Node 1 MemFree:  5 kB\nNode 1 FilePages: 4 kB\nNode 1 Shmem: 1 kB\n",
        );
        assert_eq!(machine.tree().available_memory(None), Some(8 << 10));
        assert_eq!(machine.tree().available_memory(Some(1)), Some(8 << 10));
        assert_eq!(machine.tree().available_memory(Some(9)), None);
    }

    #[test]
    fn nonsense_in_a_file_is_no_answer() {
        let machine = FakeMachine::new();
        for value in ["many kB", "18446744073709551615 kB", ""] {
            machine.write("proc/meminfo", format!("MemAvailable: {value}\n"));
            assert_eq!(machine.tree().available_memory(None), None, "{value}");
        }
    }
}
