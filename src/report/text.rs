//! A report as lines for people.

use super::{Check, Delta, Report, Status};

/// What a part of a line is, for those who colour it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Tone {
    /// A good verdict.
    Good,
    /// A bad one.
    Bad,
    /// What is less important.
    Pale,
}

/// The column where all but the first line of a check begin.
pub const INDENT: usize = 11;

/// Returns the whole report, without colours.
pub fn text(run: &Report) -> String {
    let checks = run.checks.iter();
    let lines = checks.map(|check| lines(check, &|_, text| text.to_string()) + "\n");
    let summary = format!("{}: {}\n", run.device, run.counts());
    lines.chain([summary]).collect()
}

/// Returns the lines of one check, the last without its end; `paint` colours parts of them.
pub fn lines(check: &Check, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let tone = match check.status {
        Status::Pass => Tone::Good,
        Status::Fail => Tone::Bad,
        Status::Skip | Status::Blocked | Status::Unknown => Tone::Pale,
    };
    let word = paint(tone, &format!("{:<7}", check.status));
    let (rung, id, title) = (check.rung, &check.id, &check.title);
    let mut text = format!(
        "{rung:>2} {word} {id:<17} {title} ({:.1} ms)",
        check.seconds * 1e3
    );
    let mut more = |part: &str| {
        text += &format!("\n{:INDENT$}{part}", "");
    };
    check.message.iter().for_each(|message| more(message));
    for cause in check.told_causes() {
        more(&format!("cause: {cause}"));
    }
    let evidence = check
        .evidence
        .iter()
        .map(|seen| format!("{} {}", seen.name, seen.item));
    let evidence: Vec<String> = evidence.collect();
    if !evidence.is_empty() {
        more(&paint(Tone::Pale, &evidence.join(", ")));
    }
    if check.status == Status::Fail {
        changes("registers", &check.registers)
            .iter()
            .for_each(|line| more(line));
    }
    changes("bits of AER", &check.aer)
        .iter()
        .for_each(|line| more(line));
    text
}

fn changes(what: &str, deltas: &[Delta]) -> Option<String> {
    let list: Vec<String> = deltas
        .iter()
        .map(|delta| format!("{} {delta}", delta.name))
        .collect();
    (!list.is_empty()).then(|| format!("{what} that changed: {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_message_causes_and_changes() {
        let check = Check {
            id: "regs.scratch".into(),
            rung: 3,
            status: Status::Fail,
            message: Some("SCRATCH reads 1".into()),
            causes: vec!["a stuck line".into()],
            registers: vec![Delta {
                name: "RESET_COUNT".into(),
                before: 1,
                after: 16,
            }],
            aer: vec![Delta {
                name: "correctable status".into(),
                before: 0,
                after: 64,
            }],
            ..Check::default()
        };
        let painted = lines(&check, &|tone, text| format!("<{tone:?} {text}>"));
        let expected = [
            " 3 <Bad fail   > regs.scratch       (0.0 ms)",
            "           SCRATCH reads 1",
            "           cause: a stuck line",
            "           registers that changed: RESET_COUNT 0x1 → 0x10",
            "           bits of AER that changed: correctable status 0x0 → 0x40",
        ];
        assert_eq!(painted.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_failure_without_a_known_cause_says_so() {
        let mut check = Check {
            status: Status::Fail,
            ..Check::default()
        };
        let plain = |check: &Check| lines(check, &|_, text| text.to_string());
        assert!(plain(&check).contains("cause: unknown"), "{check:?}");
        check.status = Status::Blocked;
        assert!(!plain(&check).contains("cause:"), "{check:?}");
    }
}
