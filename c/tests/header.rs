//! `hwpool.h` is clean in each standard, and says what the library has: no more and no less, and each with the same arguments.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use common::{
    c_compilers, compiler, cxx_compilers, here, installed, libraries, prints, scratch, skip,
    succeeds,
};
use syn::{FnArg, Item, ItemFn, Pat, ReturnType, Type};

fn header() -> String {
    fs::read_to_string(here("include/hwpool.h")).expect("the header")
}

#[test]
fn it_is_clean_in_every_standard() {
    let scratch = scratch("header");
    for (extension, compilers, standards) in [
        ("c", c_compilers(), ["c99", "c11", "c17"]),
        ("cpp", cxx_compilers(), ["c++11", "c++17", "c++20"]),
    ] {
        let source = scratch.join(format!("header.{extension}"));
        // Twice, as happens, and used, so that nothing is left to the linker.
        let text = "#include <hwpool.h>\n#include <hwpool.h>\nint main(void) { return (int)hwpool_abi() - HWPOOL_ABI; }\n";
        fs::write(&source, text).expect("a file");
        for command in compilers {
            for standard in standards {
                let mut strict = compiler(command, standard, &source);
                succeeds(strict.args(["-Wconversion", "-fsyntax-only"]));
            }
        }
    }
}

/// Each declaration of a function in the header, without its end, on one line.
fn declared() -> BTreeSet<String> {
    let header = header();
    let without_comments: String = header
        .split("/*")
        .map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest))
        .collect();
    let statements = without_comments.split(';').map(|statement| {
        let lines = statement.lines().filter(|line| !line.starts_with('#'));
        lines
            .collect::<Vec<_>>()
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    });
    let functions = statements.map(|statement| {
        // Behind the beginning of `extern "C" {`.
        statement.rsplit('{').next().unwrap_or("").trim().to_owned()
    });
    let is_function = |function: &String| {
        function.contains("hwpool_") && function.ends_with(')') && !function.starts_with("typedef")
    };
    functions.filter(is_function).collect()
}

/// Each exported function of the sources, as C declares it.
fn exported() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for file in fs::read_dir(here("src")).expect("the sources") {
        let file = file.expect("a file").path();
        let text = fs::read_to_string(&file).expect("a source");
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        for item in parsed.items {
            if let Item::Fn(function) = item
                && function.sig.ident.to_string().starts_with("hwpool_")
            {
                functions.insert(as_c(&function));
            }
        }
    }
    functions
}

fn as_c(function: &ItemFn) -> String {
    let arguments = function.sig.inputs.iter().map(|argument| {
        let FnArg::Typed(argument) = argument else {
            panic!("a function of C has no self");
        };
        if name_of(&argument.ty) == "Option" {
            // Of a function: the header has a name for its type.
            return "hwpool_log_function *tell".to_owned();
        }
        let Pat::Ident(name) = &*argument.pat else {
            panic!("an argument of C has a name");
        };
        declaration(&argument.ty, &name.ident.to_string())
    });
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    let name = format!(
        "{}({})",
        function.sig.ident,
        if arguments.is_empty() {
            "void"
        } else {
            &arguments
        }
    );
    match &function.sig.output {
        ReturnType::Default => format!("void {name}"),
        ReturnType::Type(_, output) => declaration(output, &name),
    }
}

/// The last name of a type's path, or nothing.
fn name_of(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().expect("a name").ident.to_string(),
        _ => String::new(),
    }
}

/// Declares a name of a type, as C does.
fn declaration(of: &Type, name: &str) -> String {
    match of {
        Type::Ptr(pointer) => {
            // A constant pointee that is a pointer itself has the word behind its star.
            let is_constant = pointer.const_token.is_some();
            match (&*pointer.elem, is_constant) {
                (Type::Ptr(_), true) => declaration(&pointer.elem, &format!("const *{name}")),
                (elem, true) => format!("const {}", declaration(elem, &format!("*{name}"))),
                (elem, false) => declaration(elem, &format!("*{name}")),
            }
        }
        Type::Path(_) => {
            let rust = name_of(of);
            let c = match rust.as_str() {
                "c_int" => "int",
                "c_char" => "char",
                "c_void" => "void",
                "usize" => "size_t",
                "u32" => "uint32_t",
                "u64" => "uint64_t",
                "Shell" => "hwpool_worker",
                structure if structure.starts_with("hwpool_") => structure,
                other => panic!("{other} is nothing that C has"),
            };
            format!("{c} {name}")
        }
        _ => panic!("such a type is nothing that C has"),
    }
}

/// Without the blanks that are a matter of taste: `void *const *objects`, `void * const *objects`.
fn bare(functions: BTreeSet<String>) -> BTreeSet<String> {
    let bare = |function: String| {
        function
            .replace(" *", "*")
            .replace("* ", "*")
            .replace("*const*", "*const *")
    };
    functions.into_iter().map(bare).collect()
}

#[test]
fn it_declares_what_the_library_exports() {
    let (declared, exported) = (bare(declared()), bare(exported()));
    assert!(exported.len() >= 20, "the check sees {exported:#?} only");
    let missing: Vec<_> = exported.difference(&declared).collect();
    let wrong: Vec<_> = declared.difference(&exported).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "the header lacks {missing:#?}, and has {wrong:#?}"
    );
}

#[test]
fn symbols_are_those_of_the_header() {
    if installed(&["nm", "readelf"]).len() < 2 {
        return skip("nm and readelf are not installed");
    }
    let name = |function: &String| {
        let (before, _) = function.split_once('(').expect("a function");
        let name = before.rsplit([' ', '*']).next();
        name.expect("a name").to_owned()
    };
    let declared: BTreeSet<String> = declared().iter().map(name).collect();
    let library = libraries().join("libhwpool_c.so");
    let dynamic = prints(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=just-symbols"])
            .arg(&library),
    );
    let symbols: BTreeSet<String> = dynamic.lines().map(str::to_owned).collect();
    assert_eq!(symbols, declared, "the shared library");

    let archive = libraries().join("libhwpool_c.a");
    let all = prints(
        Command::new("nm")
            .args([
                "--extern-only",
                "--defined-only",
                "--format=just-symbols",
                "--quiet",
            ])
            .arg(archive),
    );
    let ours: BTreeSet<String> = all
        .lines()
        .filter(|name| name.starts_with("hwpool_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(ours, declared, "the static library");

    let soname = prints(Command::new("readelf").arg("-d").arg(library));
    let abi = header()
        .lines()
        .find_map(|line| line.strip_prefix("#define HWPOOL_ABI ").map(str::to_owned));
    let wanted = format!("[libhwpool.so.{}]", abi.expect("an ABI"));
    assert!(soname.contains(&wanted), "{wanted} is not in {soname}");
}
