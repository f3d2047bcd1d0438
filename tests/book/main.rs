//! README, book and tutorial, run as they stand: each command of a page, with what the page says that it prints.
//!
//! What stands behind the fence of a block says what it is:
//!
//! | fence | the block is |
//! | --- | --- |
//! | ` ```console` | commands, each behind `$`, run one after the other in a directory of the page's own, and what each prints |
//! | ` ```console background` | a program that goes on in the background until the page ends |
//! | ` ```console machine-NAME` | commands on a machine that `tests/host` builds: held against `tests/data/host/NAME.txt` |
//! | ` ```console needs-REASON` | commands that no test can run, and why: a row of `page::NEEDS` |
//! | ` ```toml NAME` | a file |
//! | ` ```rust` | a program, which the documentation tests run: `src/lib.rs` names the page |
//! | ` ```toml`, ` ```text` | something to look at |
//!
//! A line `...` stands for any lines, and `...` in a line for any text.
//!
//! `page.rs` reads pages, `compare.rs` compares, `place.rs` runs; `tree.rs` finds files. `modules.rs` looks at the front pages of
//! `cargo doc`. The pages below `docs/src/reference` are made by
//! `reference/`, which holds them too.

mod compare;
mod documents;
mod modules;
mod page;
mod place;
mod reference;
mod tree;

use compare::are_lines;
use page::{Is, Page};
use place::Place;
use tree::{files, read};

/// Makes a test of each page, and the list of them.
macro_rules! pages {
    ($($test:ident = $path:literal;)+) => {
        const PAGES: &[&str] = &[$($path),+];

        $(
            #[test]
            fn $test() {
                run($path);
            }
        )+
    };
}

pages! {
    readme = "README.md";
    describe_tutorial = "describe/TUTORIAL.md";
    addresses = "docs/src/addresses.md";
    binding = "docs/src/binding.md";
    commands = "docs/src/commands.md";
    device_module = "docs/src/device-module.md";
    dpdk = "docs/src/dpdk.md";
    first_board = "docs/src/first-board.md";
    introduction = "docs/src/introduction.md";
    metrics = "docs/src/metrics.md";
    own_fifo = "docs/src/own-fifo.md";
    performance = "docs/src/performance.md";
    pools = "docs/src/pools.md";
    python = "docs/src/python.md";
    rtl = "docs/src/rtl.md";
    safety = "docs/src/safety.md";
    testing = "docs/src/testing.md";
    vfio_user = "docs/src/vfio-user.md";
}

/// Does what a page says, and compares.
fn run(path: &str) {
    let text = read(path);
    let page = Page::parse(&text);
    let mut place = Place::new();
    for block in &page.blocks {
        match block.is {
            Is::Run => place.hold(&block.steps()),
            Is::Background => block.steps().iter().for_each(|step| place.start(step)),
            Is::Machine(name) => on_machine(name, &block.steps()),
            Is::Needs(reason) => page::must_need(reason, &block.steps()),
            Is::File(name) => place.write(name, &block.lines),
            Is::Rust | Is::Text => {}
        }
    }
}

/// Holds what a page shows of a machine against what `tests/host` keeps of it.
fn on_machine(name: &str, steps: &[page::Step<'_>]) {
    let kept = read(&format!("tests/data/host/{name}.txt"));
    for step in steps {
        let command = format!("$ {}", step.command);
        let lines = kept.lines().skip_while(|line| *line != command).skip(1);
        let printed: Vec<&str> = lines
            .take_while(|line| !line.starts_with("exit status"))
            .collect();
        assert!(!printed.is_empty(), "{name}.txt has no `{command}`");
        assert!(
            are_lines(&step.prints, &printed),
            "`{command}` prints on {name}\n{}",
            printed.join("\n")
        );
    }
}

/// A page that nobody runs says what it likes.
#[test]
fn every_page_of_the_book_is_run() {
    let pages = files("docs/src")
        .into_iter()
        .filter(|path| path.ends_with(".md"));
    let own = pages.filter(|path| !path.contains("/reference/") && !path.ends_with("SUMMARY.md"));
    let left_out: Vec<_> = own.filter(|path| !PAGES.contains(&path.as_str())).collect();
    assert!(
        left_out.is_empty(),
        "no test runs {left_out:?}: add them to `pages!`"
    );
}

/// A reader who opens a page from the contents finds it, and finds all of them.
#[test]
fn the_contents_have_every_page() {
    let summary = read("docs/src/SUMMARY.md");
    let generated = reference::PAGES
        .iter()
        .map(|(name, _)| format!("reference/{name}"));
    let own = PAGES
        .iter()
        .filter_map(|page| page.strip_prefix("docs/src/"))
        .map(String::from);
    for page in own.chain(generated) {
        assert!(
            summary.contains(&format!("({page})")),
            "SUMMARY.md has no {page}"
        );
    }
}

/// Programs are compiled and run by rustdoc, which has to be told of a page.
#[test]
fn programs_are_documentation_tests() {
    let library = read("src/lib.rs");
    for path in PAGES {
        let text = read(path);
        let has_programs = Page::parse(&text)
            .blocks
            .iter()
            .any(|block| matches!(block.is, Is::Rust));
        let is_told = library.contains(&format!("include_str!(\"../{path}\")"));
        assert_eq!(
            has_programs, is_told,
            "{path} has programs: {has_programs}; src/lib.rs names it: {is_told}"
        );
    }
}

/// The tutorial is one of those pages, and has what makes it one.
#[test]
fn the_tutorial_is_run() {
    let text = read("describe/TUTORIAL.md");
    let page = Page::parse(&text);
    let (mut commands, mut files) = (0, 0);
    for block in &page.blocks {
        match block.is {
            Is::Run => commands += block.lines.len(),
            Is::File(_) => files += 1,
            _ => {}
        }
    }
    assert!(
        commands > 40 && files == 1,
        "{commands} lines, {files} files"
    );
}
