//! The forms of a report.

use hwpool::report::{
    About, Check, Delta, Item, Plot, Report, Seen, Series, Status, html, junit, text,
};
use roxmltree::Node;

/// What nobody may take for markup, with characters that XML can't write.
const HOSTILE: &str = "<script>alert('\"&')</script>]]>\u{0}\u{1b}[31m";

fn series(name: &str, kind: Plot, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.into(),
        kind,
        x: "ns".into(),
        y: "bursts".into(),
        points,
    }
}

fn seen(name: &str, item: Item) -> Seen {
    let name = name.to_string().into();
    Seen { name, item }
}

fn count(name: &str, n: u64) -> Seen {
    seen(name, Item::Count(n))
}

fn words(name: &str, text: &str) -> Seen {
    seen(name, Item::Text(text.into()))
}

fn check(id: &'static str, rung: u8, status: Status) -> Check {
    Check {
        id: id.into(),
        rung,
        status,
        class: "disruptive".into(),
        title: "each buffer exactly once".into(),
        seconds: 0.0125,
        ..Check::default()
    }
}

fn report(device: &str, checks: Vec<Check>) -> Report {
    Report {
        about: About {
            started: "2026-11-24T14:00:00Z".into(),
            ..About::default()
        },
        ..Report::new(device, checks)
    }
}

fn run() -> Report {
    let good = Check {
        evidence: vec![count("buffers", 4096), words("link", "Gen3 x8")],
        series: vec![
            series("fill level", Plot::Line, vec![(0.0, 64.0), (64.0, 0.0)]),
            series(
                "latency",
                Plot::Histogram,
                vec![(100.0, 5.0), (100_000.0, 1.0), (200_000.0, 0.0)],
            ),
        ],
        ..check("portal.unique", 9, Status::Pass)
    };
    let bad = Check {
        message: Some("vector 0 fired 0 times".into()),
        causes: vec!["the message was lost".into()],
        registers: vec![Delta {
            name: "IRQ_PENDING".into(),
            before: 0,
            after: 1,
        }],
        ..check("irq.vectors", 12, Status::Fail)
    };
    let none = check("dma.unmapped", 11, Status::Skip);
    report(
        "vfio:0000:01:00.0",
        vec![
            good,
            none,
            bad,
            check("lists.exhaustion", 13, Status::Blocked),
        ],
    )
}

fn hostile() -> Report {
    let text = HOSTILE.to_string();
    let delta = || Delta {
        name: text.clone(),
        before: 0,
        after: u64::MAX,
    };
    let check = Check {
        id: text.clone().into(),
        class: text.clone().into(),
        title: text.clone().into(),
        status: Status::Unknown,
        left_out: true,
        seconds: f64::NAN,
        message: Some(text.clone()),
        causes: vec![text.clone().into()],
        evidence: vec![words(HOSTILE, HOSTILE)],
        registers: vec![delta()],
        aer: vec![delta()],
        series: vec![
            Series {
                x: text.clone(),
                y: text.clone(),
                ..series(
                    HOSTILE,
                    Plot::Line,
                    vec![(0.0, 1.0), (f64::INFINITY, f64::NAN)],
                )
            },
            series(HOSTILE, Plot::Histogram, vec![]),
        ],
        rung: 255,
    };
    let mut run = report(HOSTILE, vec![check]);
    run.about = About {
        hwpool: text.clone(),
        kernel: text.clone(),
        started: text.clone(),
        seed: Some(u64::MAX),
        plan: Some(text.clone()),
    };
    run
}

/// Parses every drawing of a page.
fn drawings(page: &str) -> usize {
    let parts: Vec<&str> = page.split("<svg").skip(1).collect();
    for part in &parts {
        let end = part.find("</svg>").expect("an end");
        let svg = format!("<svg{}</svg>", &part[..end]);
        roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
    parts.len()
}

#[test]
fn a_page_has_everything_and_needs_nothing() {
    let page = html(&run(), None);
    for part in [
        "vfio:0000:01:00.0",
        "not proved",
        "1 passed, 1 failed, 1 skipped, 1 blocked",
        "vector 0 fired 0 times",
        "the message was lost",
        "IRQ_PENDING",
        "4096",
        "Gen3 x8",
        "fill level",
        "2026-11-24T14:00:00Z",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert_eq!(drawings(&page), 2);
    for foreign in [
        "http:", "https:", "<script", "<link", "@import", "src=", "url(",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn what_failed_stands_open_and_what_passed_does_not() {
    let page = html(&run(), None);
    let is_open = |id: &str| {
        let at = page
            .find(&format!("<details id=\"rung-{id}\""))
            .expect("the rung");
        let tag = &page[at..at + page[at..].find('>').expect("an end")];
        tag.contains(" open")
    };
    assert!(is_open("irq-vectors") && is_open("lists-exhaustion") && !is_open("dma-unmapped"));
}

#[test]
fn two_runs_stand_side_by_side() {
    let mut beside = run();
    beside.device = "sim:bmu".into();
    beside.checks[0].evidence = vec![
        count("buffers", 4096),
        words("link", "Gen4 x8"),
        count("lanes", 8),
    ];
    beside.checks[2] = check("irq.vectors", 12, Status::Pass);
    beside.checks.push(check("soak.traffic", 15, Status::Pass));
    let page = html(&run(), Some(&beside));
    assert!(page.contains("sim:bmu") && page.contains("Gen4 x8"));
    // The link differs; the buffers are the same, and the lanes were seen in one run only.
    assert_eq!(page.matches("class=\"differs\"").count(), 1, "{page}");
    assert!(page.contains("lanes"));
    assert!(page.contains("Only in the run beside: soak.traffic"));
    assert_eq!(drawings(&page), 2, "drawn over each other");
    assert_eq!(page.matches("class=\"line s1\"").count(), 1);
    assert_eq!(page.matches("class=\"area s1\"").count(), 1);
}

#[test]
fn nothing_that_a_device_says_becomes_markup() {
    let run = hostile();
    for page in [
        html(&run, None),
        html(&run, Some(&run)),
        html(&report("", vec![]), None),
    ] {
        assert!(!page.contains("<script"), "{page}");
        drawings(&page);
    }
    let xml = junit(&run);
    roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    assert!(text(&run).contains("<script>"), "text is text");
}

#[test]
fn build_servers_find_their_cases() {
    let xml = junit(&run());
    let parsed = roxmltree::Document::parse(&xml).expect("XML");
    let suite = parsed
        .root_element()
        .first_element_child()
        .expect("a suite");
    let number = |name: &str| {
        suite
            .attribute(name)
            .and_then(|text| text.parse::<f64>().ok())
    };
    assert_eq!(number("tests"), Some(4.0));
    assert_eq!(
        (number("failures"), number("errors"), number("skipped")),
        (Some(1.0), Some(1.0), Some(1.0))
    );
    let of = |name: &str| -> Vec<String> {
        let nodes = parsed.descendants().filter(|node| node.has_tag_name(name));
        let case = |node: Node<'_, '_>| {
            node.parent()
                .and_then(|case| case.attribute("name").map(str::to_string))
        };
        nodes.filter_map(case).collect()
    };
    assert_eq!(of("failure"), ["irq.vectors"]);
    assert_eq!(of("error"), ["lists.exhaustion"]);
    assert_eq!(of("skipped"), ["dma.unmapped"]);
    assert!(xml.contains("cause: the message was lost"));
}

#[test]
fn a_document_survives_its_text() {
    let run = run();
    let text = serde_json::to_string(&run).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Report>(&text).expect("a report"),
        run
    );
    // As an older program wrote it, and a newer one. Whatever a file says, what counts is counted.
    let old = r#"{"schema":"hwpool.bringup/1","device":"sim:bmu","checks":[{"id":"a","rung":1,"later":7,"status":"melted","evidence":[{"name":"x","value":0.5}]}],"passed":1,"failed":0,"skipped":0}"#;
    let old = serde_json::from_str::<Report>(old).expect("a report");
    assert_eq!(old.checks[0].causes.len(), 0);
    assert_eq!(old.checks[0].status, Status::Unknown);
    assert_eq!(old.checks[0].seen("x"), Some(&Item::Number(0.5)));
    assert!(old.count(Status::Pass) == 0 && !old.is_good(), "{old:?}");
}

/// Programs of others read it: no key, no order and no number changes.
#[test]
fn json_is_what_it_was() {
    let mut run = run();
    let hex = seen("BAR0 bytes", Item::Hex(0x10000));
    run.checks[1].evidence = vec![count("buffers", 4096), words("link", "Gen3 x8"), hex];
    run.checks[1].left_out = true;
    run.checks.truncate(2);
    run.checks[0].evidence.truncate(1);
    run.checks[0].series.truncate(1);
    let text = serde_json::to_string(&run).expect("JSON");
    let expected = concat!(
        r#"{"schema":"hwpool.bringup/1","device":"vfio:0000:01:00.0","about":{"hwpool":"","kernel":"","#,
        r#""started":"2026-11-24T14:00:00Z","plan":null},"checks":[{"id":"portal.unique","rung":9,"#,
        r#""class":"disruptive","title":"each buffer exactly once","status":"pass","seconds":0.0125,"#,
        r#""message":null,"causes":[],"evidence":[{"name":"buffers","value":4096}],"registers":[],"aer":[],"#,
        r#""series":[{"name":"fill level","kind":"line","x":"ns","y":"bursts","points":[[0.0,64.0],[64.0,0.0]]}]},"#,
        r#"{"id":"dma.unmapped","rung":11,"class":"disruptive","title":"each buffer exactly once","#,
        r#""status":"skip","left_out":true,"seconds":0.0125,"message":null,"causes":[],"#,
        r#""evidence":[{"name":"buffers","value":4096},{"name":"link","value":"Gen3 x8"},"#,
        r#"{"name":"BAR0 bytes","value":65536,"hex":true}],"registers":[],"aer":[],"series":[]}],"#,
        r#""passed":1,"failed":0,"skipped":1,"blocked":0}"#
    );
    assert_eq!(text, expected);
}
