//! A design behind a socket, and a client before it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use hwpool::devices::bus::{DmaSource, Iova, Transport};
use hwpool::user::Client;
use hwpool::user::server::serve_stream;
use hwpool_rtl::build::{Built, Verilator};
use hwpool_rtl::design::{self, Design};
use hwpool_rtl::{Monitor, Opened, Run, open_built, prepare};

/// Command register: Memory Space and Bus Master.
pub(crate) const MASTER: u16 = 0x06;

/// Tells whether designs can be built here; says so where they can't.
pub(crate) fn can_build() -> bool {
    static CAN: OnceLock<Result<(), String>> = OnceLock::new();
    let can = CAN.get_or_init(|| {
        Verilator::find().map_err(|error| error.to_string())?;
        let compiler = Command::new("g++").arg("--version").output();
        compiler
            .map(|_| ())
            .map_err(|error| format!("g++: {error}"))
    });
    if let Err(why) = can {
        let must = std::env::var_os("HWPOOL_NO_SKIP").is_some();
        assert!(!must, "can't run here: {why}");
        eprintln!("skipped: {why}");
    }
    can.is_ok()
}

pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

pub(crate) fn design(file: &str) -> Design {
    design::read(&path(file)).unwrap()
}

/// A design that is served, with its client.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) monitor: Monitor,
}

pub(crate) fn serve(design: &Design, seed: Option<u64>) -> Served {
    let run = Run {
        seed,
        ..Run::default()
    };
    serve_run(design, run)
}

pub(crate) fn serve_run(design: &Design, run: Run<'_>) -> Served {
    let Opened {
        mut function,
        monitor,
        ..
    } = open_built(design, &built(design, run), run).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || serve_stream(theirs, &mut function));
    let client = Client::from_stream(ours, "rtl", Duration::from_secs(20)).unwrap();
    Served { client, monitor }
}

impl Served {
    pub(crate) fn bar(&self) -> <Client as Transport>::Bar {
        self.client.bar(0).unwrap()
    }

    /// Lets the design reach a file, from its address `iova` on, as a bus master.
    pub(crate) fn map(&self, iova: u64, len: u64) -> Memory {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let source = DmaSource {
            file: file.as_fd(),
            offset: 0,
            len,
        };
        self.client.dma_map(Iova(iova), source).unwrap();
        self.client.config_write16(4, MASTER).unwrap();
        Memory { file, iova }
    }
}

/// Memory of the client's.
pub(crate) struct Memory {
    file: File,
    iova: u64,
}

impl Memory {
    pub(crate) fn read(&self, iova: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, iova - self.iova)
            .unwrap();
        bytes
    }

    pub(crate) fn write(&self, iova: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, iova - self.iova).unwrap();
    }
}

/// Builds a design once in this process: Verilator need not be asked again whether its sources have changed.
fn built(design: &Design, run: Run<'_>) -> Built {
    static BUILT: Mutex<Option<HashMap<(String, u32), Built>>> = Mutex::new(None);
    let mut all = BUILT
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let place = all
        .get_or_insert_default()
        .entry((design.file.clone(), run.threads));
    place
        .or_insert_with(|| prepare(design, run).unwrap())
        .clone()
}
