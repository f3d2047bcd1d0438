//! Hugepages: all that were asked for, or none.

use std::io;
use std::path::Path;

use hwpool::host::Writer;
use hwpool::host::hugepages::HugepageError;
use hwpool::machine::Hugepages;

use super::machine::Machine;

const SIZE: u64 = 2 << 20;

/// A kernel that finds at most so many pages on node 0.
struct Memory<'a> {
    machine: &'a Machine,
    most: u32,
    used: u32,
}

/// A kernel as the real one is with pages of 2 MiB on node 0: the number that it is given is without surplus pages,
/// and in place of pages that are in use it has surplus ones.
struct Linux<'a> {
    machine: &'a Machine,
    used: u64,
    writes: Vec<u64>,
}

impl Writer for Linux<'_> {
    fn write(&mut self, _: &Path, value: &str) -> io::Result<()> {
        let reserved: u64 = value.parse().map_err(io::Error::other)?;
        self.writes.push(reserved);
        let pool = self.pool();
        let (mut total, mut surplus) = (pool.total, pool.surplus);
        let before = total - surplus;
        if reserved > before {
            let adopted = surplus.min(reserved - before);
            surplus -= adopted;
            total += reserved - before - adopted;
        } else {
            let freed = (total - self.used).min(before - reserved);
            total -= freed;
            surplus += before - reserved - freed;
        }
        self.set(total, surplus);
        Ok(())
    }

    fn own(&mut self, _: &Path, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Linux<'_> {
    fn set(&self, total: u64, surplus: u64) {
        let at = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
        let write =
            |file: &str, n: u64| self.machine.file(&format!("{at}/{file}"), format!("{n}\n"));
        write("nr_hugepages", total);
        write("surplus_hugepages", surplus);
        write("free_hugepages", total - self.used);
    }

    fn pool(&self) -> Hugepages {
        Hugepages::find(&self.machine.tree(), SIZE, Some(0)).expect("a pool")
    }
}

/// With three surplus pages the kernel's number is three less than the pages that there are.
#[test]
fn surplus_pages_are_not_counted_twice() {
    let machine = Machine::new();
    let mut kernel = Linux {
        machine: &machine,
        used: 9,
        writes: Vec::new(),
    };
    kernel.set(10, 3);
    let (tree, pool) = (machine.tree(), kernel.pool());
    pool.reserve(&tree, &mut kernel, 4).expect("there is room");
    assert_eq!(kernel.writes, [11]);
    kernel.set(10, 3);
    pool.release(&tree, &mut kernel, 2)
        .expect_err("one is free");
    assert_eq!(kernel.writes, [11]);
    kernel.used = 5;
    kernel.set(10, 3);
    let pool = kernel.pool();
    let now = pool.release(&tree, &mut kernel, 2).expect("five are free");
    assert_eq!((kernel.writes, now.total), (vec![11, 5], 8));
}

#[test]
fn pages_that_come_into_use_meanwhile_stay_reserved() {
    let machine = Machine::new();
    let mut kernel = Linux {
        machine: &machine,
        used: 2,
        writes: Vec::new(),
    };
    kernel.set(10, 0);
    let pool = kernel.pool();
    kernel.used = 7;
    let error = pool
        .release(&machine.tree(), &mut kernel, 8)
        .expect_err("seven are in use");
    let text = error.to_string();
    assert!(
        matches!(
            error,
            HugepageError::Taken {
                wanted: 8,
                got: 3,
                had: 10,
                ..
            }
        ),
        "{text}"
    );
    assert!(
        text.contains("there were 10, and there are 7 now"),
        "{text}"
    );
    assert_eq!((kernel.pool().total, kernel.pool().surplus), (7, 0));
}

#[test]
fn pages_that_are_promised_are_not_released() {
    let machine = Machine::new();
    let at = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    machine.file(&format!("{at}/free_hugepages"), "64\n");
    machine.file(&format!("{at}/resv_hugepages"), "60\n");
    let mut kernel = Linux {
        machine: &machine,
        used: 0,
        writes: Vec::new(),
    };
    let (tree, pool) = (machine.tree(), kernel.pool());
    let error = pool.release(&tree, &mut kernel, 5);
    assert!(
        matches!(
            error,
            Err(HugepageError::InUse {
                wanted: 5,
                free: 4,
                had: 64,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(kernel.writes.is_empty());
    pool.release(&tree, &mut kernel, 4)
        .expect("four are nobody's");
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
    let pool = Hugepages::find(&tree, SIZE, Some(0)).expect("a pool");
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
    let pool = Hugepages::find(&tree, SIZE, Some(0)).expect("a pool");
    let error = pool.reserve(&tree, &mut memory, 8);
    assert!(
        matches!(
            error,
            Err(HugepageError::TooFew {
                wanted: 8,
                got: 5,
                had: 10,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(
        Hugepages::find(&tree, SIZE, Some(0)).expect("a pool").total,
        10
    );
}

#[test]
fn pools_are_found_by_size_and_node() {
    let machine = Machine::new();
    machine.hugepages(1, 1 << 20, 2, 1);
    let tree = machine.tree();
    let found: Vec<_> = Hugepages::all(&tree)
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
        Hugepages::find(&tree, 1 << 30, Some(0)),
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
    let pool = Hugepages::find(&machine.tree(), SIZE, None).expect("a pool");
    assert_eq!((pool.node, pool.total, pool.free), (None, 3, 2));
}
