//! What unit tests share: a directory that looks like `/`, as far as a test fills it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::hugepages::directory as hugepage_directory;
use super::{Bdf, PageSize, Tree, directory};

/// The directory, gone when dropped.
#[derive(Debug)]
pub(crate) struct FakeMachine {
    root: PathBuf,
}

impl FakeMachine {
    pub(crate) fn new() -> FakeMachine {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-machine-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        FakeMachine { root }
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::at(&self.root)
    }

    /// Returns where a path is, whose directory is there then.
    fn place(&self, path: &str) -> PathBuf {
        let path = self.tree().path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.place(path), text).unwrap();
    }

    pub(crate) fn link(&self, from: &str, to: &str) {
        symlink(to, self.place(from)).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.tree().path(path)).unwrap();
    }

    pub(crate) fn hugepages(
        &self,
        size: PageSize,
        node: Option<u32>,
        total: usize,
        free: usize,
        promised: usize,
    ) {
        let at = hugepage_directory(size.bytes() as u64, node);
        let files = [("nr", total), ("free", free), ("resv", promised)];
        for (name, count) in files {
            self.write(&format!("{at}/{name}_hugepages"), format!("{count}\n"));
        }
    }

    /// Adds a function to an IOMMU group, bound to `driver`.
    pub(crate) fn function(&self, bdf: Bdf, group: u32, driver: Option<&str>) {
        let groups = "/sys/kernel/iommu_groups";
        let at = directory(bdf);
        self.link(
            &format!("{at}/iommu_group"),
            &format!("../../../../kernel/iommu_groups/{group}"),
        );
        self.link(&format!("{groups}/{group}/devices/{bdf}"), "anywhere");
        if let Some(driver) = driver {
            self.link(&format!("{at}/driver"), &format!("../../drivers/{driver}"));
        }
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
