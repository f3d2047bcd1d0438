//! Ports that are no AXI are named with their bits, before anything of the design's runs.

mod common;

use common::{can_build, design};
use hwpool_rtl::design::Design;
use hwpool_rtl::{Run, open_built, prepare};

/// What the names of the master's ports begin with, and parts of the message.
const MASTERS: [(&str, &[&str]); 16] = [
    ("addr_", &["`addr_araddr` has 65 bits", "1 to 64"]),
    ("len_", &["`len_arlen` has 9 bits", "4 to 8"]),
    ("size_", &["`size_arsize` has 4 bits: it needs 3"]),
    ("burst_", &["`burst_arburst` has 1 bits: it needs 2"]),
    ("data_", &["`data_rdata` has 24 bits", "256 or 512"]),
    ("wide_", &["`wide_rdata` has 1024 bits", "256 or 512"]),
    ("resp_", &["`resp_rresp` has 3 bits: it needs 2"]),
    ("last_", &["`last_rlast` has 2 bits: it needs 1"]),
    ("id_", &["`id_arid` has 33 bits", "1 to 32"]),
    ("rid_", &["`rid_rid` has 3 bits: it needs 4"]),
    (
        "norid_",
        &["`norid_arid` and no `norid_rid`", "the ID of its request"],
    ),
    ("wstrb_", &["`wstrb_wstrb` has 7 bits: it needs 8"]),
    ("wlast_", &["`wlast_wlast` has 2 bits: it needs 1"]),
    ("bresp_", &["`bresp_bresp` has 1 bits: it needs 2"]),
    ("bid_", &["`bid_bid` has 5 bits: it needs 4"]),
    (
        "noawid_",
        &["`noawid_bid` and no `noawid_awid`", "the ID of its request"],
    ),
];

#[test]
fn a_port_of_a_width_that_axi_does_not_have_is_named() {
    if !can_build() {
        return;
    }
    let good = design("tests/designs/ports.toml");
    let built = prepare(&good, Run::default()).unwrap();
    let opened = |design: &Design| open_built(design, &built, Run::default());
    opened(&good).unwrap();
    for (prefix, parts) in MASTERS {
        let mut wrong = good.clone();
        wrong.dma[0].port.name = prefix.into();
        said(&opened(&wrong).unwrap_err().to_string(), parts, "14:8");
    }
    let mut wrong = good.clone();
    wrong.bars[0].port.name = "slave_".into();
    let parts = ["`slave_bresp` has 1 bits: it needs 2"];
    said(&opened(&wrong).unwrap_err().to_string(), &parts, "10:8");
}

fn said(message: &str, parts: &[&str], place: &str) {
    for part in parts.iter().chain([&place]) {
        assert!(message.contains(part), "no `{part}`: {message}");
    }
}
