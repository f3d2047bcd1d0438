//! Hugepages: all that were asked for, or none.

use std::io;
use std::path::Path;

use hwpool::host::Writer;
use hwpool::host::hugepages::{HugepageError, Pool};

use super::machine::Machine;

const SIZE: u64 = 2 << 20;

/// A kernel that finds at most so many pages on node 0.
struct Memory<'a> {
    machine: &'a Machine,
    most: u32,
    used: u32,
}

impl Writer for Memory<'_> {
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        assert!(path.ends_with("node0/hugepages/hugepages-2048kB/nr_hugepages"));
        let total = self.most.min(value.parse().map_err(io::Error::other)?);
        self.machine
            .hugepages(0, 2048, total, total.saturating_sub(self.used));
        Ok(())
    }

    fn own(&mut self, _: &Path, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn pages_are_reserved_and_released() {
    let machine = Machine::new();
    machine.hugepages(0, 2048, 10, 4);
    let mut memory = Memory {
        machine: &machine,
        most: 100,
        used: 6,
    };
    let tree = machine.tree();
    let pool = Pool::find(&tree, SIZE, Some(0)).expect("a pool");
    let now = pool.reserve(&tree, &mut memory, 8).expect("there is room");
    assert_eq!((now.total, now.free), (18, 12));
    let now = now.release(&tree, &mut memory, 12).expect("they are free");
    assert_eq!((now.total, now.free), (6, 0));
    let error = now.release(&tree, &mut memory, 1);
    assert!(matches!(
        error,
        Err(HugepageError::InUse {
            wanted: 1,
            free: 0,
            ..
        })
    ));
}

#[test]
fn fewer_than_asked_for_are_given_back() {
    let machine = Machine::new();
    machine.hugepages(0, 2048, 10, 10);
    let mut memory = Memory {
        machine: &machine,
        most: 15,
        used: 0,
    };
    let tree = machine.tree();
    let pool = Pool::find(&tree, SIZE, Some(0)).expect("a pool");
    let error = pool.reserve(&tree, &mut memory, 8);
    assert!(
        matches!(
            error,
            Err(HugepageError::TooFew {
                wanted: 8,
                got: 5,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(Pool::find(&tree, SIZE, Some(0)).expect("a pool").total, 10);
}

#[test]
fn pools_are_found_by_size_and_node() {
    let machine = Machine::new();
    machine.hugepages(1, 1 << 20, 2, 1);
    let tree = machine.tree();
    let found: Vec<_> = Pool::all(&tree)
        .iter()
        .map(|pool| (pool.node, pool.bytes, pool.total))
        .collect();
    assert_eq!(
        found,
        [
            (Some(0), SIZE, 64),
            (Some(1), SIZE, 0),
            (Some(1), 1 << 30, 2)
        ]
    );
    assert!(matches!(
        Pool::find(&tree, 1 << 30, Some(0)),
        Err(HugepageError::NoPool { .. })
    ));
}

#[test]
fn without_numa_the_systems_own_directory_counts() {
    let machine = Machine::new();
    std::fs::remove_dir_all(machine.path("/sys/devices/system/node")).unwrap();
    let at = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    machine.file(&format!("{at}/nr_hugepages"), "3\n");
    machine.file(&format!("{at}/free_hugepages"), "2\n");
    let pool = Pool::find(&machine.tree(), SIZE, None).expect("a pool");
    assert_eq!((pool.node, pool.total, pool.free), (None, 3, 2));
}
