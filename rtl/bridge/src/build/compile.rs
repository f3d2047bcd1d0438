//! The C++ that Verilator wrote, and its own, to a library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::error::BuildError;
use super::tool::{Verilator, compiler, run};

/// How a design's C++ is compiled: the same for each of its files.
#[derive(Debug, Copy, Clone)]
pub(super) struct Compiler<'a> {
    pub(super) verilator: &'a Verilator,
    pub(super) traced: bool,
}

/// Options for all files. Two designs may live in one process, so nothing of theirs is merged.
const OPTIONS: [&str; 13] = [
    "-O2",
    "-fPIC",
    "-fno-gnu-unique",
    "-pthread",
    "-w",
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TRACE_VCD=0",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
];

impl Compiler<'_> {
    /// Returns the options, for the name of a build.
    pub(super) fn options(&self) -> String {
        format!("{} {OPTIONS:?} {}", compiler().display(), self.traced)
    }

    /// Compiles files to objects in `folder`, as many at a time as there are processors; returns the objects. An object
    /// that is there already stays.
    pub(super) fn objects(
        &self,
        files: &[PathBuf],
        folder: &Path,
    ) -> Result<Vec<PathBuf>, BuildError> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let workers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(files.len());
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.object(file, &object_of(file, folder)) {
                    failed
                        .lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .get_or_insert(error);
                    next.store(files.len(), Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
        match failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(error) => Err(error),
            None => Ok(files.iter().map(|file| object_of(file, folder)).collect()),
        }
    }

    /// Compiles one file; the object appears whole or not at all.
    fn object(&self, file: &Path, object: &Path) -> Result<(), BuildError> {
        if object.exists() {
            return Ok(());
        }
        let partial = object.with_extension("partial");
        let include = self.verilator.include();
        let mut command = Command::new(compiler());
        command
            .args(OPTIONS)
            .args(self.trace_options())
            .arg("-c")
            .arg(file)
            .arg("-o")
            .arg(&partial);
        command
            .arg("-I")
            .arg(&include)
            .arg("-I")
            .arg(include.join("vltstd"));
        command
            .arg("-I")
            .arg(file.parent().unwrap_or(Path::new(".")));
        checked(&mut command)?;
        std::fs::rename(&partial, object).map_err(|source| BuildError::file(object, source))
    }

    fn trace_options(&self) -> [&'static str; 2] {
        match self.traced {
            true => ["-DVM_TRACE=1", "-DVM_TRACE_FST=1"],
            false => ["-DVM_TRACE=0", "-DVM_TRACE_FST=0"],
        }
    }

    /// Links objects to a library.
    pub(super) fn link(&self, objects: &[PathBuf], library: &Path) -> Result<(), BuildError> {
        let mut command = Command::new(compiler());
        command
            .args(["-shared", "-pthread", "-Wl,-Bsymbolic", "-o"])
            .arg(library)
            .args(objects);
        if self.traced {
            // Only later Verilators need lz4 from the system.
            command.arg("-lz");
            if self.verilator.include().join("fstcpp").is_dir() {
                command.arg("-llz4");
            }
        }
        checked(&mut command)
    }
}

fn object_of(file: &Path, folder: &Path) -> PathBuf {
    folder
        .join(file.file_stem().unwrap_or_default())
        .with_extension("o")
}

/// Runs a command that must end well.
fn checked(command: &mut Command) -> Result<(), BuildError> {
    let output = run(command).map_err(|source| BuildError::NoCompiler {
        program: compiler().display().to_string(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lacks = |what: &[&str]| what.iter().any(|part| said.contains(part));
    let what = match () {
        () if lacks(&["zlib.h", "-lz:", "-lz\n"]) => {
            "waveforms need zlib's headers (Debian: zlib1g-dev)"
        }
        () if lacks(&["lz4.h", "-llz4"]) => {
            "waveforms of this Verilator need lz4's headers (Debian: liblz4-dev)"
        }
        () => "the C++ compiler refuses what Verilator wrote",
    };
    let lines: Vec<&str> = said.lines().take(20).collect();
    Err(BuildError::Compile {
        what: what.into(),
        lines: lines.join("\n"),
    })
}
