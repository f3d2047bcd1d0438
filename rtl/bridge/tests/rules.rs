//! A design with a fault for each rule: the message names rule, port, signal and cycle.

mod common;

use std::collections::HashSet;

use common::{can_build, design, serve};
use hwpool::devices::bus::{Bar, Transport};
use hwpool_rtl::Fault;
use hwpool_rtl::axi::{Rule, Violation};

/// What shows a fault that was switched on.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum By {
    Itself,
    Read,
    Write,
    Reset,
}

/// The fault's number in bad.sv, what shows it, the rule, and the signal.
const FAULTS: [(u32, By, Rule, &str); 24] = [
    (1, By::Read, Rule::ValidStays, "s_axil_rvalid"),
    (2, By::Read, Rule::PayloadStays, "s_axil_rdata"),
    (3, By::Write, Rule::AnswerAfterRequest, "s_axil_bvalid"),
    (4, By::Reset, Rule::QuietInReset, "s_axil_rvalid"),
    (5, By::Read, Rule::LiteResponse, "s_axil_rresp"),
    (6, By::Read, Rule::InTime, "s_axil_rvalid"),
    (7, By::Read, Rule::AnswerAfterRequest, "s_axil_rvalid"),
    (16, By::Itself, Rule::ValidStays, "m_axi_arvalid"),
    (17, By::Itself, Rule::PayloadStays, "m_axi_araddr"),
    (18, By::Itself, Rule::FourKib, "m_axi_araddr"),
    (19, By::Itself, Rule::BeatWidth, "m_axi_arsize"),
    (20, By::Itself, Rule::BurstKind, "m_axi_arburst"),
    (21, By::Itself, Rule::BurstKind, "m_axi_arlen"),
    (22, By::Itself, Rule::WrapAligned, "m_axi_araddr"),
    (23, By::Itself, Rule::LastBeat, "m_axi_wlast"),
    (24, By::Itself, Rule::LastBeat, "m_axi_wlast"),
    (25, By::Itself, Rule::StrobesInBeat, "m_axi_wstrb"),
    (26, By::Itself, Rule::InTime, "m_axi_rready"),
    (27, By::Itself, Rule::InTime, "m_axi_wvalid"),
    (28, By::Reset, Rule::QuietInReset, "m_axi_awvalid"),
    (29, By::Itself, Rule::BurstKind, "m_axi_arlen"),
    (30, By::Itself, Rule::InTime, "m_axi_awvalid"),
    (31, By::Itself, Rule::PayloadStays, "m_axi_wdata"),
    (32, By::Itself, Rule::InTime, "m_axi_bready"),
];

/// Back-pressure shows a fault under some seeds and not under others.
const SEEDS: u64 = 30;

#[test]
fn every_rule_has_a_design_that_breaks_it() {
    let broken: HashSet<Rule> = FAULTS.iter().map(|(_, _, rule, _)| *rule).collect();
    let unbroken: Vec<Rule> = Rule::ALL
        .into_iter()
        .filter(|rule| !broken.contains(rule))
        .collect();
    assert_eq!(unbroken, []);
}

#[test]
fn each_fault_is_named_with_port_signal_and_cycle() {
    if !can_build() {
        return;
    }
    for (fault, by, rule, signal) in FAULTS {
        let found = (0..SEEDS).find_map(|seed| seen(fault, by, seed));
        let found =
            found.unwrap_or_else(|| panic!("fault {fault} was not seen under {SEEDS} seeds"));
        assert_eq!(
            (found.rule, found.signal.as_str()),
            (rule, signal),
            "fault {fault}: {found}"
        );
        let port = if signal.starts_with('s') {
            "s_axil_"
        } else {
            "m_axi_"
        };
        assert_eq!(found.port, port);
        assert!(found.cycle > 16, "it is after the reset");
        let text = found.to_string();
        for part in [
            port,
            signal,
            &format!("cycle {}", found.cycle),
            rule.section(),
        ] {
            assert!(text.contains(part), "{text}: no {part}");
        }
    }
}

/// Switches a fault on, and has it shown.
fn seen(fault: u32, by: By, seed: u64) -> Option<Violation> {
    let served = serve(&design("tests/designs/bad.toml"), Some(seed));
    served.client.config_write16(4, common::MASTER).unwrap();
    let bar = served.bar();
    // Once a rule is broken every access fails.
    let _ = bar.write32(0, fault);
    let _ = match by {
        By::Itself => Ok(()),
        By::Read => bar.read32(4).map(|_| ()),
        By::Write => bar.write32(4, 0),
        By::Reset => served.client.reset(),
    };
    served.monitor.settled();
    match served.monitor.fault()? {
        Fault::Violation(violation) => {
            assert!(
                served.client.reset().is_err(),
                "what broke a rule is not served any more"
            );
            Some(violation)
        }
        other => panic!("fault {fault}: {other}"),
    }
}

#[test]
fn a_design_without_faults_breaks_no_rule() {
    if !can_build() {
        return;
    }
    for seed in 0..SEEDS {
        let served = serve(&design("tests/designs/bad.toml"), Some(seed));
        served.map(0x1000, 0x1000);
        let bar = served.bar();
        for number in [0, 15, 50, 16 + 49] {
            bar.write32(0, number).unwrap();
            assert_eq!(bar.read32(0).unwrap(), number, "seed {seed}");
        }
        served.client.reset().unwrap();
        served.monitor.settled();
        assert_eq!(served.monitor.fault(), None, "seed {seed}");
    }
}

#[test]
fn a_design_that_ends_itself_or_never_settles_is_named() {
    if !can_build() {
        return;
    }
    for (file, number, part) in [
        ("tests/designs/bad.toml", 40, "$finish at "),
        ("tests/designs/bad.toml", 41, "an assertion failed, at "),
        ("tests/designs/loop.toml", 1, "converge"),
    ] {
        let served = serve(&design(file), None);
        assert!(served.bar().write32(0, number).is_err() || served.bar().read32(0).is_err());
        let fault = served.monitor.fault().expect("it has ended").to_string();
        assert!(fault.contains(part), "{file} {number}: {fault}");
        assert!(fault.contains("at cycle "), "{fault}");
    }
}
