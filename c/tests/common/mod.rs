//! Compilers of C and C++, and the library that programs are linked with.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Warnings that nothing here has.
const STRICT: [&str; 8] = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wshadow",
    "-Wundef",
    "-pthread",
    "-g",
];

/// What the shared library needs of the system, which `hwpool.pc` names too.
pub(crate) const SYSTEM: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// Returns a path in this package.
pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Says why a test can't run here. Where `HWPOOL_NO_SKIP` is set, as by `scripts/check`, that is a failure.
pub(crate) fn skip(why: &str) {
    let must_run = env::var_os("HWPOOL_NO_SKIP").is_some();
    assert!(!must_run, "must not be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// Returns those of the commands that are there.
pub(crate) fn installed<'a>(commands: &[&'a str]) -> Vec<&'a str> {
    let is_there = |command: &&str| Command::new(command).arg("--version").output().is_ok();
    commands.iter().copied().filter(is_there).collect()
}

/// The compilers of C that are there, all of which must agree.
pub(crate) fn c_compilers() -> Vec<&'static str> {
    let found = installed(&["gcc", "clang"]);
    if found.is_empty() {
        skip("neither gcc nor clang is installed");
    }
    found
}

/// The compilers of C++ that are there.
pub(crate) fn cxx_compilers() -> Vec<&'static str> {
    let found = installed(&["g++", "clang++"]);
    if found.is_empty() {
        skip("neither g++ nor clang++ is installed");
    }
    found
}

/// How a program is linked with the library.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// Returns a directory for what a test makes, beside the libraries.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let test = env::current_exe().expect("this program");
    let profile = test.parent().and_then(Path::parent).expect("target/*/deps");
    let directory = profile.join("c-tests").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// Returns where Cargo has put the libraries of the profile that this test was built in.
pub(crate) fn libraries() -> PathBuf {
    let test = env::current_exe().expect("this program");
    let directory = test.parent().expect("target/*/deps").to_owned();
    for name in ["libhwpool_c.so", "libhwpool_c.a"] {
        assert!(directory.join(name).exists(), "no {name} in {directory:?}");
    }
    directory
}

/// Returns a command that compiles a source strictly, without a main file's name and without libraries.
pub(crate) fn compiler(command: &str, standard: &str, source: &Path) -> Command {
    let mut compiler = Command::new(command);
    compiler
        .args(STRICT)
        .arg(format!("-std={standard}"))
        .arg("-D_POSIX_C_SOURCE=200809L")
        .arg(format!("-DVERSION=\"{}\"", env!("CARGO_PKG_VERSION")))
        .arg("-I")
        .arg(here("include"))
        .arg(source);
    compiler
}

/// Compiles a program and links it with the library; returns where it is.
pub(crate) fn build(
    command: &str,
    standard: &str,
    source: &str,
    link: Link,
    scratch: &Path,
) -> PathBuf {
    let source = here(source);
    let name = source
        .file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let program = scratch.join(format!("{name}-{command}-{link:?}"));
    let libraries = libraries();
    let mut compiler = compiler(command, standard, &source);
    match link {
        Link::Shared => {
            // The soname is what the program looks for.
            let soname = scratch.join("libhwpool.so.0");
            if !soname.exists() {
                std::os::unix::fs::symlink(libraries.join("libhwpool_c.so"), &soname)
                    .expect("a link");
            }
            compiler
                .arg(soname)
                .arg(format!("-Wl,-rpath,{}", scratch.display()));
        }
        Link::Static => {
            compiler.arg(libraries.join("libhwpool_c.a")).args(SYSTEM);
        }
    }
    succeeds(compiler.arg("-o").arg(&program));
    program
}

/// Runs a command and fails unless it succeeds.
pub(crate) fn succeeds(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command that must succeed and returns what it prints.
pub(crate) fn prints(command: &mut Command) -> String {
    String::from_utf8(succeeds(command).stdout).expect("text")
}
