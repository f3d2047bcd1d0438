//! A report as XML in the layout that build servers read: Apache Ant's JUnit reports.

use maud::{PreEscaped, html};

use super::{Check, Delta, Report, Status, writable};

/// Returns the report as one test suite: a rung is a test case, and what is blocked is an error.
pub fn junit(run: &Report) -> String {
    let seconds: f64 = run.checks.iter().map(|check| check.seconds).sum();
    let page = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        testsuites {
            testsuite name={ "hwpool bringup " (&run.device) } tests=(run.checks.len()) failures=(run.count(Status::Fail))
                errors=(run.count(Status::Blocked)) skipped=(run.count(Status::Skip)) time=(format!("{seconds:.6}"))
                timestamp=(run.about.started.trim_end_matches('Z')) {
                @for check in &run.checks { (case(check)) }
            }
        }
    };
    writable(page.into_string()) + "\n"
}

fn case(check: &Check) -> maud::Markup {
    let message = check.message.as_deref().unwrap_or_default();
    let causes = check.told_causes().into_iter();
    let causes = causes.map(|cause| format!("cause: {cause}\n"));
    let seen = check.evidence.iter();
    let seen = seen.map(|seen| format!("{}: {}\n", seen.name, seen.item));
    let changed = |what: &'static str, deltas: &[Delta]| -> String {
        let lines = deltas
            .iter()
            .map(|delta| format!("{what}{} changed: {delta}\n", delta.name));
        lines.collect()
    };
    let changed = [changed("", &check.registers), changed("AER ", &check.aer)];
    let told: String = seen.chain(changed).collect();
    html! {
        testcase classname="bringup" name=(&check.id) time=(format!("{:.6}", check.seconds)) {
            @match check.status {
                Status::Fail => failure message=(message) { (causes.collect::<String>()) },
                Status::Blocked => error message=(message) {},
                Status::Skip => skipped message=(message) {},
                Status::Pass | Status::Unknown => {},
            }
            @if !told.is_empty() {
                system-out { (told) }
            }
        }
    }
}
