//! Faults of hardware, one a design: which of them the ladder names, from what they come, and which only a proof finds.
//!
//! Each is a fault of `rtl/fifo/formal/mutants`, built and served. A few are climbed always; `HWPOOL_MUTANTS=all` climbs all,
//! which takes a minute or two the first time.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{can_build, path};
use hwpool::bringup::{self, Check, Options, Status};
use hwpool::user::Client;
use hwpool::user::server::Server;
use hwpool_rtl::axi::Rule;
use hwpool_rtl::{Fault, Opened, Run, design, open};

/// What of a mutant is seen from the host.
#[derive(Debug, Copy, Clone)]
enum Seen {
    /// A rung fails, with words of its message and of a cause.
    Rung(&'static str, &'static str, &'static str),
    /// It breaks a rule of AXI, at a signal.
    Rule(Rule, &'static str),
    /// The bridge ends it with these words.
    Ended(&'static str),
    /// Nothing: why only a proof finds it.
    Nothing(&'static str),
}

use Seen::{Nothing, Rule as Breaks, Rung};

/// The mutants, whether one is climbed always, and what is seen of it.
#[rustfmt::skip] // a table: one mutant, one line
const MUTANTS: &[(&str, bool, Seen)] = &[
    ("watch-says-nothing", false, Nothing(WATCH)),
    ("no-sweep", false, Nothing(WATCH)),
    ("sweep-stops-early", false, Nothing(WATCH)),
    ("pop-does-not-unmark", false, Nothing(WATCH)),
    ("next-wraps-early", false, Rung("lists.capacity", "number 199 left the queue where 0 was the oldest", "pointer wrap at different depths")),
    ("oldest-does-not-wrap", false, Rung("lists.capacity", "another entry left the queue", "past its end")),
    ("a-stack", true, Rung("lists.capacity", "number 199 left the queue where 0 was the oldest", "a stack was built instead of a queue")),
    ("pop-keeps-the-number", true, Rung("lists.single", "LEVEL is 1 after the only buffer was taken", "read pointer is not advanced")),
    ("memory-reads-on", true, Breaks(Rule::PayloadStays, "s_axil_rdata")),
    ("read-overtakes-write", false, Nothing(ONE_BY_ONE)),
    ("write-overtakes-read", false, Nothing(ONE_BY_ONE)),
    ("bytes-count", false, Nothing(NO_WORD)),
    ("low-bits-do-not-count", false, Nothing(NO_WORD)),
    ("answer-is-withdrawn", false, Breaks(Rule::ValidStays, "s_axil_bvalid")),
    ("answer-to-nothing", true, Breaks(Rule::AnswerAfterRequest, "s_axil_bvalid")),
    ("disabled-pops", false, Rung("lists.capacity", "a pop while ENABLE is 0 read 0x80000000", "ENABLE is not looked at")),
    ("empty-pops", true, Rung("lists.stale", "is empty and hands something out", "a take from an empty list is not refused")),
    ("overflow-is-taken", false, Rung("lists.capacity", "a push into a full queue set ERROR to 0x0", "does not check what is pushed")),
    ("range-one-too-far", true, Rung("lists.capacity", "a push of 200 was taken", "the bound is compared one too far")),
    ("low-by-level", false, Rung("lists.exhaustion", "LOW was raised again by a pop from below the threshold", "not from the pop that takes it there")),
    ("error-stays", false, Rung("lists.capacity", "ERROR is 0x1 after all of it was cleared", "a write of 1 to ERROR does not clear it")),
    ("interrupt-is-lost", false, Nothing("two events would have to lie as few cycles apart as a message takes, and an access takes more")),
    ("event-repeats", false, Rung("irq.vectors", "after EVENT.LOW was set, which was 1 already", "edge and level are mixed up")),
    ("event-is-forgotten", true, Rung("irq.vectors", "fired 0 times when it was enabled", "is forgotten: enabling it sends nothing")),
    ("soft-reset-keeps", false, Rung("regs.access", "CONTROL reads 0x1 after a reset", "the reset does not reach this register")),
    ("long-flr-counts-on", true, Rung("reset.verified", "RESET_COUNT went from", "the count goes on at each clock of the reset's pulse")),
];

/// Why a fault of the watch is not seen.
const WATCH: &str = "`double_push` is for a logic analyser: no access reads it";
/// Why a fault of accesses that are none of a word is not seen.
const NO_WORD: &str =
    "a host makes none but of aligned words (SPEC 2), and the model reports each other one";
/// Why a fault of two accesses that meet is not seen.
const ONE_BY_ONE: &str =
    "a host's accesses come one after the other, each answered before the next";

/// No power of two, so that pointers do not wrap by themselves.
const DEPTH: u32 = 200;
/// Back-pressure shows a fault under some seeds and not under others.
const SEEDS: u64 = 3;

/// Interrupt lines that are stuck or wired wrong: what is changed in which file, and what is seen.
#[rustfmt::skip] // a table: one fault, one line
const LINES: &[(&str, &[Change], Seen)] = &[
    ("message-without-end", &[(IRQ, "else if (irq_ready) irq_valid <= 1'b0;", "else irq_valid <= 1'b1;")], Seen::Ended("asks for interrupts without end: irq_valid was never 0 over 10001 messages")),
    ("message-never", &[(IRQ, "else if (sends) irq_valid <= 1'b1;", "else if (sends) irq_valid <= 1'b0;")], Rung("irq.vectors", "vector 0 fired 0 times after it was raised once", "or never")),
    ("line-stuck-at-1", &[(IRQ, "else if (irq_ready) irq_valid <= 1'b0;", "else irq_valid <= 1'b1;"), AS_LEVEL], Rung("irq.vectors", "before anything was asked of it", "the line is stuck at 1")),
    ("never-taken", &[AS_LEVEL], Rung("irq.vectors", "fired once, and 0 times when its event was cleared", "the acknowledgement is not wired to it")),
];

const IRQ: &str = "hwpool_fifo_irq.sv";
/// The message's line taken for one that software clears: nothing tells the design that it was sent.
const AS_LEVEL: Change<'static> = (
    "fifo.toml",
    "is = \"handshake\"\nacknowledge = \"irq_ready\"",
    "is = \"level\"",
);

/// A file, what stands there once, and what stands there instead.
type Change<'a> = (&'a str, &'a str, &'a str);

/// A mutant as `formal/mutants` has it.
struct Mutant {
    name: String,
    file: String,
    old: String,
    new: String,
}

fn mutants() -> Vec<Mutant> {
    let text = fs::read_to_string(path("../fifo/formal/mutants")).unwrap();
    let mut mutants: Vec<Mutant> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(": ").filter(|_| !line.starts_with(' ')) {
            mutants.push(Mutant {
                name: name.into(),
                file: String::new(),
                old: String::new(),
                new: String::new(),
            });
            continue;
        }
        let Some(mutant) = mutants.last_mut() else {
            continue;
        };
        for (mark, place) in [
            ("  in ", &mut mutant.file),
            ("  - ", &mut mutant.old),
            ("  + ", &mut mutant.new),
        ] {
            if let Some(rest) = line.strip_prefix(mark) {
                *place = rest.into();
            }
        }
    }
    mutants
}

/// Writes the FIFO into a folder, with places of its files changed, and returns the design's file.
fn written(name: &str, watch: bool, changes: &[Change]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("mutants")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(path("../fifo")).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_owned();
        if from.is_file() {
            fs::copy(&from, folder.join(name)).unwrap();
        }
    }
    let watch = u32::from(watch);
    let parameters = format!("parameters = [\"DEPTH={DEPTH}\", \"WATCH={watch}\"]\nclock =");
    let parameters = ("fifo.toml", "clock =", parameters.as_str());
    for (file, old, new) in changes.iter().copied().chain([parameters]) {
        let changed = folder.join(file);
        let text = fs::read_to_string(&changed).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{name}: {old}");
        fs::write(&changed, text.replace(old, new)).unwrap();
    }
    folder.join("fifo.toml")
}

/// What a climb came to: the first rung that failed, and the rule that was broken.
#[derive(Debug)]
struct Climbed {
    failed: Option<Check>,
    fault: Option<Fault>,
}

impl Climbed {
    fn is(&self, seen: Seen) -> bool {
        match (seen, &self.failed, &self.fault) {
            (Rung(id, says, cause), Some(failed), None) => {
                let message = failed.message.as_deref().unwrap_or_default();
                failed.id == id
                    && message.contains(says)
                    && failed.causes.join("; ").contains(cause)
            }
            // The ladder can only tell that the server has ended; the server tells why.
            (Breaks(rule, signal), Some(failed), Some(Fault::Violation(found))) => {
                let causes = failed.causes.join("; ");
                let is_sent_there = causes.contains("the process that serves the device has ended");
                is_sent_there && found.rule == rule && found.signal == signal
            }
            (Seen::Ended(words), Some(_), Some(fault)) => fault.to_string().contains(words),
            (Nothing(_), None, None) => true,
            _ => false,
        }
    }

    fn is_good(&self) -> bool {
        self.failed.is_none() && self.fault.is_none()
    }
}

/// Climbs the ladder on a design behind a socket, whose server ends where a rule is broken.
fn climb(file: &Path, seed: u64) -> Climbed {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket").display().to_string();
    let run = Run {
        seed: Some(seed),
        ..Run::default()
    };
    let Opened {
        mut function,
        monitor,
        ..
    } = open(&design::read(file).unwrap(), run).unwrap();
    let server = Server::bind(socket.as_ref()).unwrap();
    let stop = server.stop_handle();
    monitor.stops(stop.clone());
    let serving = std::thread::spawn(move || server.run(&mut function));
    let address = format!("user:{socket}");
    let client = Client::open(&socket, &address, Duration::from_secs(20)).unwrap();
    let options = Options {
        soak: Duration::from_millis(50),
        ..Options::default()
    };
    let report = bringup::run(Arc::new(client), &options, None, |_| {
        ControlFlow::Continue(())
    });
    stop.stop();
    serving.join().unwrap().unwrap();
    let mut checks = report.checks.into_iter();
    Climbed {
        failed: checks.find(|check| check.status == Status::Fail),
        fault: monitor.fault(),
    }
}

#[test]
fn each_mutant_is_in_the_table_and_each_of_the_table_is_one() {
    let written: BTreeSet<String> = mutants().into_iter().map(|mutant| mutant.name).collect();
    let table: BTreeSet<String> = MUTANTS.iter().map(|(name, ..)| (*name).into()).collect();
    assert_eq!(table, written);
    assert_eq!(table.len(), MUTANTS.len(), "one is there twice");
}

#[test]
fn mutants_are_named_by_a_rung_or_a_rule_or_by_nothing() {
    if !can_build() {
        return;
    }
    let all = std::env::var("HWPOOL_MUTANTS").is_ok_and(|which| which == "all");
    let mut wrong = Vec::new();
    for mutant in mutants() {
        let &(name, always, seen) = MUTANTS.iter().find(|row| row.0 == mutant.name).unwrap();
        if !(all || always) {
            continue;
        }
        let watch = mutant.file == "hwpool_fifo_watch.sv";
        let change = (
            mutant.file.as_str(),
            mutant.old.as_str(),
            mutant.new.as_str(),
        );
        let file = written(name, watch, &[change]);
        wrong.extend(unlike(name, &file, seen));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn interrupt_lines_that_are_stuck_are_named_with_their_cause() {
    if !can_build() {
        return;
    }
    let wrong: Vec<String> = LINES
        .iter()
        .filter_map(|&(name, changes, seen)| unlike(name, &written(name, false, changes), seen))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Climbs under seeds until something is seen; tells where that is something else than is expected.
fn unlike(name: &str, file: &Path, seen: Seen) -> Option<String> {
    let mut climbs = (1..=SEEDS).map(|seed| climb(file, seed));
    let first = climbs.next().unwrap();
    let told = match first.is_good() {
        true => climbs.find(|climbed| !climbed.is_good()).unwrap_or(first),
        false => first,
    };
    match seen {
        Nothing(why) => eprintln!("{name}: is left to a proof: {why}"),
        _ => eprintln!("{name}: {told:?}"),
    }
    (!told.is(seen)).then(|| format!("{name}: {seen:?} is expected, and this is seen: {told:#?}"))
}
