//! Numbers and structures of `hwpool.h`, as a compiler of C sees them, are those of `abi.rs` and `status.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::abi;
use crate::pool::MAX_SIZE;
use crate::status::STATUSES;

#[path = "../tests/common/mod.rs"]
mod common;

/// Every number that the header names, with what it is here.
fn numbers() -> BTreeMap<String, i128> {
    let statuses = STATUSES.iter().map(|(status, name)| {
        (
            name.to_str().expect("a name").to_owned(),
            i128::from(*status as i32),
        )
    });
    let others = [
        ("HWPOOL_ABI", abi::ABI.into()),
        ("HWPOOL_CHECKED", abi::CHECKED.into()),
        ("HWPOOL_SPREAD", abi::SPREAD.into()),
        ("HWPOOL_PAGES_ANY", abi::PAGES_ANY.into()),
        ("HWPOOL_PAGES_BASE", abi::PAGES_BASE.into()),
        ("HWPOOL_PAGES_2M", abi::PAGES_2M.into()),
        ("HWPOOL_PAGES_1G", abi::PAGES_1G.into()),
        ("HWPOOL_LOG_ERROR", abi::LOG_ERROR.into()),
        ("HWPOOL_LOG_WARNING", abi::LOG_WARNING.into()),
        ("HWPOOL_LOG_INFO", abi::LOG_INFO.into()),
        ("HWPOOL_LOG_DEBUG", abi::LOG_DEBUG.into()),
        ("HWPOOL_NO_CACHE", abi::NO_CACHE.into()),
        ("HWPOOL_NO_IOVA", abi::NO_IOVA.into()),
    ];
    let others = others.map(|(name, number)| (name.to_owned(), number));
    statuses.chain(others).collect()
}

/// The names that the header gives to numbers.
fn named() -> Vec<String> {
    let header = fs::read_to_string(common::here("include/hwpool.h")).expect("the header");
    let define = |line: &str| {
        let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
        (!name.contains('(') && !value.is_empty()).then(|| name.to_owned())
    };
    let enumerator = |line: &str| {
        let (name, _) = line.trim().split_once(" = ")?;
        name.starts_with("HWPOOL_").then(|| name.to_owned())
    };
    header
        .lines()
        .filter_map(|line| define(line).or_else(|| enumerator(line)))
        .collect()
}

#[test]
fn a_compiler_of_c_sees_the_same() {
    let numbers = numbers();
    let mut named = named();
    named.sort();
    assert_eq!(
        named,
        numbers.keys().cloned().collect::<Vec<_>>(),
        "the header's names"
    );

    let mut wanted = Vec::new();
    let mut lines = Vec::new();
    for (name, number) in &numbers {
        wanted.push(format!("{name} {number}"));
        let format = if *number < 0 { "%lld" } else { "%llu" };
        let as_long = if *number < 0 {
            "long long"
        } else {
            "unsigned long long"
        };
        lines.push(format!(
            "printf(\"{name} {format}\\n\", ({as_long}){name});"
        ));
    }
    for (structure, size, fields) in abi::layouts() {
        wanted.push(format!("{structure} {size}"));
        lines.push(format!(
            "printf(\"{structure} %zu\\n\", sizeof({structure}));"
        ));
        for (field, offset) in fields {
            wanted.push(format!("{structure}.{field} {offset}"));
            lines.push(format!(
                "printf(\"{structure}.{field} %zu\\n\", offsetof({structure}, {field}));"
            ));
        }
    }
    let directory = common::scratch("layout");
    let (source, program) = (directory.join("layout.c"), directory.join("layout"));
    let text = format!(
        "#include <hwpool.h>\n#include <stdio.h>\nint main(void) {{\n{}\nreturn 0; }}\n",
        lines.join("\n")
    );
    fs::write(&source, text).expect("a file");
    for compiler in common::c_compilers() {
        let mut command = common::compiler(compiler, "c99", &source);
        common::succeeds(command.arg("-o").arg(&program));
        let seen = common::prints(&mut Command::new(&program));
        assert_eq!(seen.lines().collect::<Vec<_>>(), wanted, "{compiler}");
    }
}

#[test]
fn the_header_tells_the_limits() {
    let header = fs::read_to_string(common::here("include/hwpool.h")).expect("the header");
    for (what, limit) in [
        ("1 to ", MAX_SIZE as usize),
        ("1 to ", hwpool::pool::MAX_OBJECTS as usize),
        ("up to ", hwpool::pool::MAX_CACHE),
        (
            &format!("{} to ", hwpool::pool::MIN_ALIGN),
            hwpool::pool::MAX_ALIGN,
        ),
    ] {
        let words = format!("{what}{limit}.");
        assert!(header.contains(&words), "{words:?} is not in the header");
    }
}
