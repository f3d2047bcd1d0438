//! Programs in C and C++, compiled without a warning by each compiler that is there, linked with the library and run.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use hwpool::sim::SimConfig;
use hwpool::user::SimDevice;
use hwpool::user::server::Server;

use common::{
    Link, build, c_compilers, cxx_compilers, here, installed, prints, scratch, skip, succeeds,
};

/// Runs a program that ends in time, for each of the arguments.
fn runs(program: &std::path::Path, arguments: &[&str]) {
    for argument in arguments {
        let mut command = Command::new("timeout");
        command.arg("60").arg(program);
        if !argument.is_empty() {
            command.arg(argument);
        }
        succeeds(&mut command);
    }
}

#[test]
fn mistakes_are_answered_on_every_backend() {
    let scratch = scratch("misuse");
    for compiler in c_compilers() {
        for link in [Link::Shared, Link::Static] {
            let program = build(compiler, "c99", "tests/c/misuse.c", link, &scratch);
            runs(&program, &["ring", "stack", "sim:bmu", "sim:fifo"]);
        }
    }
}

#[test]
fn what_is_told_is_so() {
    let scratch = scratch("asked");
    for compiler in c_compilers() {
        for link in [Link::Shared, Link::Static] {
            let program = build(compiler, "c11", "tests/c/asked.c", link, &scratch);
            runs(&program, &[""]);
        }
    }
}

#[test]
fn a_child_of_fork_is_told_so() {
    let scratch = scratch("forked");
    for compiler in c_compilers() {
        let program = build(compiler, "c99", "tests/c/forked.c", Link::Shared, &scratch);
        runs(&program, &["ring", "bmu"]);
    }
}

#[test]
fn the_examples_run() {
    let scratch = scratch("examples");
    for compiler in c_compilers() {
        for link in [Link::Shared, Link::Static] {
            let program = build(compiler, "c11", "examples/forward.c", link, &scratch);
            runs(&program, &["", "sim:bmu"]);
        }
    }
    for compiler in cxx_compilers() {
        for link in [Link::Shared, Link::Static] {
            let program = build(compiler, "c++20", "examples/raii.cpp", link, &scratch);
            runs(&program, &["", "sim:fifo"]);
        }
    }
}

#[test]
fn a_device_that_goes_is_an_error() {
    let scratch = scratch("gone");
    let Some(compiler) = c_compilers().first().copied() else {
        return;
    };
    let program = build(compiler, "c99", "tests/c/gone.c", Link::Shared, &scratch);
    let socket = scratch.join("s");
    let server = Server::bind(&socket).expect("a server");
    let stop = server.stop_handle();
    let serving = thread::spawn(move || {
        let config = SimConfig::new("bmu").expect("a model");
        let mut device = SimDevice::new("bmu", config).expect("a model");
        server.run(&mut device).expect("it serves");
    });
    let mut child = Command::new("timeout")
        .arg("60")
        .arg(program)
        .arg(format!("user:{}", socket.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut told = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    told.read_line(&mut line).expect("a line");
    stop.stop();
    serving.join().expect("it ends");
    assert_eq!(line, "ready\n");
    child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(b"\n")
        .expect("it waits");
    assert!(child.wait().expect("it ends").success());
}

/// No byte is read that is not there, and none is lost: not in the calls, and not in their failures.
#[test]
fn valgrind_finds_nothing() {
    if installed(&["valgrind"]).is_empty() {
        return skip("valgrind is not installed");
    }
    let Some(compiler) = c_compilers().first().copied() else {
        return;
    };
    let scratch = scratch("valgrind");
    for (source, standard, argument) in [
        ("tests/c/misuse.c", "c99", "ring"),
        ("tests/c/asked.c", "c99", ""),
    ] {
        let program = build(compiler, standard, source, Link::Shared, &scratch);
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
            // What stays reachable is the book of handles, which lives as long as the process, and what threads have; of those
            // Rust's standard library keeps a pointer into the middle, so they count as possibly lost.
            .args(["--show-leak-kinds=definite,indirect"])
            .args(["--errors-for-leak-kinds=definite,indirect"])
            .arg(program);
        if !argument.is_empty() {
            command.arg(argument);
        }
        succeeds(&mut command);
    }
}

/// What the README tells to type, with the libraries that are built already.
#[test]
fn installed_it_is_found_by_pkg_config() {
    if installed(&["pkg-config"]).is_empty() {
        return skip("pkg-config is not installed");
    }
    let scratch = scratch("installed");
    let prefix = scratch.join("prefix");
    let libraries = common::libraries();
    succeeds(
        Command::new(here("install"))
            .arg("--from")
            .arg(&libraries)
            .arg(&prefix),
    );
    for name in [
        "include/hwpool.h",
        "lib/libhwpool.so",
        "lib/libhwpool.so.0",
        "lib/libhwpool.a",
        "lib/pkgconfig/hwpool.pc",
    ] {
        assert!(prefix.join(name).exists(), "no {name}");
    }
    let pkg_config = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        command
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .args(arguments)
            .arg("hwpool");
        let flags = prints(&mut command);
        flags
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let source = scratch.join("first.c");
    std::fs::write(&source, first_program()).expect("a file");
    for compiler in c_compilers() {
        let shared = scratch.join(format!("{compiler}-shared"));
        let flags = pkg_config(&["--cflags", "--libs"]);
        succeeds(
            Command::new(compiler)
                .arg(&source)
                .args(flags)
                .arg("-o")
                .arg(&shared),
        );
        let told = prints(Command::new(&shared).env("LD_LIBRARY_PATH", prefix.join("lib")));
        assert!(told.contains("1024 of 1024"), "{told}");

        let alone = scratch.join(format!("{compiler}-static"));
        let flags = pkg_config(&["--cflags", "--static", "--libs"]);
        // The static library alone: the linker would rather take the shared one.
        let flags = flags.iter().map(|flag| match flag.as_str() {
            "-lhwpool" => "-l:libhwpool.a",
            other => other,
        });
        succeeds(
            Command::new(compiler)
                .arg(&source)
                .args(flags)
                .arg("-o")
                .arg(&alone),
        );
        let told = prints(&mut Command::new(&alone));
        assert!(told.contains("1024 of 1024"), "{told}");
    }
}

/// The first program of the README.
fn first_program() -> String {
    let readme = std::fs::read_to_string(here("README.md")).expect("a README");
    let (_, rest) = readme.split_once("```c\n").expect("a program in C");
    let (program, _) = rest.split_once("```").expect("its end");
    program.to_owned()
}
