//! The register block of the examples, over the socket: widths, halves, strobes, errors.

mod common;

use common::{can_build, design, serve};
use hwpool::devices::bus::{Bar, Transport};
use hwpool_rtl::design::{Refused, Wide};

/// No answer, all signals ready; and handshakes as three seeds have them.
const SEEDS: [Option<u64>; 4] = [None, Some(1), Some(2), Some(3)];

#[test]
fn registers_are_read_and_written_in_every_width() {
    if !can_build() {
        return;
    }
    for seed in SEEDS {
        let served = serve(&design("examples/regs.toml"), seed);
        let bar = served.bar();
        assert_eq!(bar.size(), 4096);
        assert_eq!(bar.read32(0).unwrap(), 0x5e9_0001, "seed {seed:?}");
        assert_eq!(bar.read32(4).unwrap(), 0, "no write yet");
        bar.write32(8, 0x1122_3344).unwrap();
        assert_eq!(bar.read32(8).unwrap(), 0x1122_3344);
        bar.write8(9, 0xab).unwrap();
        bar.write16(10, 0xcdef).unwrap();
        assert_eq!(bar.read32(8).unwrap(), 0xcdef_ab44);
        assert_eq!(
            (bar.read8(9).unwrap(), bar.read16(10).unwrap()),
            (0xab, 0xcdef)
        );
        assert_eq!(bar.read32(4).unwrap(), 3);
        // Two accesses, the low half first.
        bar.write64(8, 0xaaaa_bbbb_cccc_dddd).unwrap();
        assert_eq!(bar.read32(8).unwrap(), 0xcccc_dddd);
        assert_eq!(bar.read64(8).unwrap(), 0xaaaa_bbbb_cccc_dddd);
        assert_eq!(bar.read32(4).unwrap(), 5);
        assert_eq!(served.monitor.fault(), None);
    }
}

#[test]
fn an_error_of_the_design_is_what_the_file_says() {
    if !can_build() {
        return;
    }
    for error in [Refused::Ones, Refused::Data, Refused::Errno] {
        let mut design = design("examples/regs.toml");
        design.bars[0].error = error;
        let served = serve(&design, None);
        let bar = served.bar();
        let read = bar.read32(0x40);
        match error {
            Refused::Ones => assert_eq!(read.unwrap(), u32::MAX),
            Refused::Data => assert_eq!(read.unwrap(), 0x5e9_0001),
            Refused::Errno => {
                assert!(read.unwrap_err().to_string().contains("errno 5"));
                assert!(bar.write32(0x40, 1).is_err());
                continue;
            }
        }
        bar.write32(0x40, 1).unwrap();
        assert_eq!(bar.read32(4).unwrap(), 1, "the write reached the design");
    }
}

#[test]
fn an_access_wider_than_its_port_is_refused_where_the_file_says_so() {
    if !can_build() {
        return;
    }
    let mut design = design("examples/regs.toml");
    design.bars[0].wide = Wide::Refuse;
    let served = serve(&design, None);
    let bar = served.bar();
    bar.write64(8, 7).unwrap();
    assert_eq!(bar.read64(0).unwrap(), u64::MAX);
    assert_eq!(
        (bar.read32(4).unwrap(), bar.read32(8).unwrap()),
        (0, 0),
        "nothing reached the design"
    );
}

#[test]
fn a_reset_reaches_the_design_by_both_ways() {
    if !can_build() {
        return;
    }
    let served = serve(&design("examples/regs.toml"), None);
    let bar = served.bar();
    let resets: [fn(&hwpool::user::Client); 2] = [
        |client| client.reset().unwrap(),
        |client| client.config_write16(0x58, 0x8000).unwrap(), // Initiate Function Level Reset
    ];
    for reset in resets {
        bar.write32(8, 5).unwrap();
        served.client.config_write16(4, common::MASTER).unwrap();
        reset(&served.client);
        assert_eq!(bar.read32(0).unwrap(), u32::MAX, "memory decoding is off");
        assert_eq!(
            served.client.config_read32(4).unwrap() & 0xffff,
            0,
            "and bus mastering"
        );
        served.client.config_write16(4, common::MASTER).unwrap();
        assert_eq!((bar.read32(4).unwrap(), bar.read32(8).unwrap()), (0, 0));
    }
}

#[test]
fn configuration_space_is_that_of_the_file() {
    if !can_build() {
        return;
    }
    let served = serve(&design("examples/copy.toml"), None);
    let client = &served.client;
    assert_eq!(client.config_read32(0).unwrap(), 0xc097_1234);
    assert_eq!(client.config_read32(8).unwrap() >> 8, 0x08_0100);
    assert_eq!(client.irq_count().unwrap(), 1);
    assert_eq!(client.bar(1).unwrap().size(), 8192, "the MSI-X table's");
    assert_eq!(
        client.bar(1).unwrap().read32(12).unwrap(),
        1,
        "its vector is masked"
    );
    assert!(client.bar(2).is_err());
}

#[test]
fn two_threads_of_the_design_do_what_one_does() {
    if !can_build() {
        return;
    }
    let run = hwpool_rtl::Run {
        threads: 2,
        ..Default::default()
    };
    let served = common::serve_run(&design("examples/copy.toml"), run);
    let bar = served.bar();
    bar.write64(0, 0x1234_5678_9abc).unwrap();
    assert_eq!(bar.read64(0).unwrap(), 0x1234_5678_9abc);
    assert_eq!(served.monitor.fault(), None);
}
