//! What the tests of this module share: a made-up `/sys` and `/proc`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::PageSize;
use super::system::{System, hugepage_directory};

/// Says why a test can't run here. Where `HWPOOL_NO_SKIP` is set, as by `scripts/check` when root, that is a failure.
pub(super) fn skip(why: impl std::fmt::Display) {
    assert!(
        std::env::var_os("HWPOOL_NO_SKIP").is_none(),
        "must not be skipped: {why}"
    );
    eprintln!("skipped: {why}");
}

/// A directory that looks like `/` to [`System`]; gone when dropped.
pub(super) struct FakeSystem {
    root: PathBuf,
}

impl FakeSystem {
    pub(super) fn new() -> FakeSystem {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-dma-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        FakeSystem { root }
    }

    pub(super) fn system(&self) -> System {
        System::at(&self.root)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn hugepages(
        &self,
        size: PageSize,
        node: Option<u32>,
        total: usize,
        free: usize,
        reserved: usize,
    ) {
        let directory = hugepage_directory(size, node);
        self.write(&format!("{directory}/nr_hugepages"), &format!("{total}\n"));
        self.write(&format!("{directory}/free_hugepages"), &format!("{free}\n"));
        self.write(
            &format!("{directory}/resv_hugepages"),
            &format!("{reserved}\n"),
        );
    }
}

impl Drop for FakeSystem {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
