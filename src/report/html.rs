//! A report as one page that needs nothing else: no script, no font, no file beside it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::plot;
use super::{Check, Delta, Report, Seen, Series, Status, writable};

/// Returns the page of a run; with another run `beside` it, such as the model's beside the board's, both in columns.
pub fn html(run: &Report, beside: Option<&Report>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Bring-up of " (run.device) ": " (run.verdict()) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                h1 {
                    small { "Bring-up" }
                    (run.device)
                    @if let Some(beside) = beside { " beside " (beside.device) }
                }
                div.runs {
                    (head_of(run))
                    @if let Some(beside) = beside { (head_of(beside)) }
                }
                (ladder(run))
                @for check in &run.checks { (details(check, beside.map(|beside| (run, beside)))) }
                @if let Some(beside) = beside { (missing(run, beside)) }
                footer { "hwpool " (run.about.hwpool) ", layout " code { (run.schema) } }
            }
        }
    };
    writable(page.into_string())
}

fn head_of(run: &Report) -> Markup {
    let about = &run.about;
    let seed = about.seed.map_or(String::new(), |seed| seed.to_string());
    let rows = [
        ("started", about.started.as_str()),
        ("kernel", &about.kernel),
        ("hwpool", &about.hwpool),
        ("plan", about.plan.as_deref().unwrap_or_default()),
        ("seed", &seed),
    ];
    html! {
        section.run {
            div.device { (run.device) }
            div class={ "verdict " (if run.is_good() { "pass" } else { "fail" }) } { (run.verdict()) ": " (run.counts()) }
            dl {
                @for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
                    dt { (name) } dd { (value) }
                }
            }
        }
    }
}

/// All rungs at a glance.
fn ladder(run: &Report) -> Markup {
    html! {
        ol.ladder {
            @for check in &run.checks {
                li {
                    a class=(tone(check.status)) href={ "#" (anchor(check)) } {
                        span.mark { (mark(check.status)) } " " (check.rung)
                        b { (check.id) }
                    }
                }
            }
        }
    }
}

fn details(check: &Check, runs: Option<(&Report, &Report)>) -> Markup {
    let other =
        runs.and_then(|(_, beside)| beside.checks.iter().find(|other| other.id == check.id));
    let differs = other.is_some_and(|other| other.status != check.status);
    let is_open = matches!(check.status, Status::Fail | Status::Blocked)
        || differs
        || !check.series.is_empty();
    html! {
        details id=(anchor(check)) class=(tone(check.status)) open[is_open] {
            summary {
                span.rung { (check.rung) }
                span.mark { (mark(check.status)) " " (check.status) }
                span.id { (check.id) }
                span.title { (check.title) }
                @if let Some(other) = other {
                    span class={ "class " (tone(other.status)) } { "beside: " span.mark { (mark(other.status)) " " (other.status) } }
                }
                span.class { (check.class) }
                span.time { (time(check.seconds)) @if let Some(other) = other { " | " (time(other.seconds)) } }
            }
            div.body {
                @if let Some(message) = &check.message { p.message { (message) } }
                @let causes = check.told_causes();
                @if !causes.is_empty() {
                    p { "Probable causes, the likeliest first:" }
                    ol { @for cause in causes { li { (cause) } } }
                }
                @if let Some(message) = other.and_then(|other| other.message.as_ref()) {
                    p { "beside: " (message) }
                }
                (evidence(&check.evidence, other.map(|other| other.evidence.as_slice())))
                (deltas("registers that changed", &check.registers))
                (deltas("bits of AER that changed", &check.aer))
                (plots(check, other, runs))
            }
        }
    }
}

/// A table of what was seen, with what the other run saw; what both saw differently is marked.
fn evidence(seen: &[Seen], beside: Option<&[Seen]>) -> Markup {
    let other = |name: &str| beside?.iter().find(|other| other.name == name);
    let is_new = |there: &&Seen| seen.iter().all(|one| one.name != there.name);
    let only_beside: Vec<&Seen> = beside.into_iter().flatten().filter(is_new).collect();
    html! {
        @if !seen.is_empty() || !only_beside.is_empty() {
            table {
                @if beside.is_some() {
                    tr { th { "seen" } th { "this run" } th { "beside" } }
                }
                @for one in seen {
                    @let there = other(&one.name);
                    tr class=[there.is_some_and(|there| there.item != one.item).then_some("differs")] {
                        td { (one.name) }
                        td.value { (one.item) }
                        @if beside.is_some() { (value(there)) }
                    }
                }
                @for there in only_beside {
                    tr { td { (there.name) } (value(None)) (value(Some(there))) }
                }
            }
        }
    }
}

fn value(seen: Option<&Seen>) -> Markup {
    html! { td.value { @if let Some(seen) = seen { (seen.item) } @else { "–" } } }
}

fn deltas(what: &str, deltas: &[Delta]) -> Markup {
    html! {
        @if !deltas.is_empty() {
            table {
                tr { th { (what) } th { "before" } th { "after" } }
                @for delta in deltas {
                    tr {
                        td { (delta.name) }
                        td.value { (format!("{:#x}", delta.before)) }
                        td.value { (format!("{:#x}", delta.after)) }
                    }
                }
            }
        }
    }
}

/// Draws each series, with that of the same name of the other run over it.
fn plots(check: &Check, other: Option<&Check>, runs: Option<(&Report, &Report)>) -> Markup {
    let names = runs.map_or(("", ""), |(run, beside)| {
        (run.device.as_str(), beside.device.as_str())
    });
    let both = check.series.iter().map(|series| {
        let same = |other: &&Series| other.name == series.name && other.kind == series.kind;
        let there = other.and_then(|other| other.series.iter().find(same));
        let mut list = vec![(names.0, series)];
        list.extend(there.map(|there| (names.1, there)));
        plot(&list)
    });
    let both: Vec<Markup> = both.flatten().collect();
    html! { @if !both.is_empty() { div.plots { @for one in &both { (one) } } } }
}

/// Names the rungs that only the other run has.
fn missing(run: &Report, beside: &Report) -> Markup {
    let has = |id: &str| run.checks.iter().any(|check| check.id == id);
    let lost: Vec<&str> = beside
        .checks
        .iter()
        .map(|check| &*check.id)
        .filter(|id| !has(id))
        .collect();
    html! { @if !lost.is_empty() { p { "Only in the run beside: " (lost.join(", ")) } } }
}

fn anchor(check: &Check) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("rung-{}", check.id.chars().map(safe).collect::<String>())
}

/// The class of a status in the style; what is unknown looks like what was skipped.
fn tone(status: Status) -> &'static str {
    match status {
        Status::Unknown => Status::Skip.word(),
        known => known.word(),
    }
}

/// A sign beside the colour, for those who do not see it.
fn mark(status: Status) -> &'static str {
    match status {
        Status::Pass => "✓",
        Status::Fail => "✗",
        Status::Blocked => "⊘",
        Status::Skip | Status::Unknown => "–",
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "?".into(),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
