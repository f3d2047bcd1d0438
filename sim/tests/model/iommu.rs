//! The model IOMMU: what it maps and what it refuses.

use hwpool_devices::bus::{DmaError, Iova, Transport};

use crate::bench::{Bench, DMA, DMA_LEN, Memory, config};

const PAGE: u64 = 4096;

fn map(bench: &Bench, iova: u64, len: u64) -> Result<(), DmaError> {
    let memory = Memory::new(0, (len + PAGE).next_multiple_of(PAGE));
    bench.sim.dma_map(Iova(iova), memory.source(0, len))
}

#[test]
fn limits_are_those_of_a_48_bit_vt_d() {
    let bench = Bench::closed(config(&[]));
    let limits = bench.sim.dma_limits().unwrap();
    assert_eq!(
        limits.ranges,
        [0..=0xfedf_ffff, 0xfef0_0000..=0xffff_ffff_ffff]
    );
    assert_eq!((limits.page(), limits.page_sizes), (4096, 0x4020_1000));
    assert_eq!(limits.entries_left, 65534);
}

#[test]
fn overlaps_are_refused_on_either_side() {
    let bench = Bench::closed(config(&[]));
    for (iova, len) in [
        (DMA, PAGE),
        (DMA - PAGE, 2 * PAGE),
        (DMA + DMA_LEN - PAGE, 2 * PAGE),
        (DMA - PAGE, 2 * DMA_LEN),
    ] {
        let refused = DmaError::Exists {
            iova: Iova(iova),
            len,
        };
        assert_eq!(map(&bench, iova, len), Err(refused));
    }
    map(&bench, DMA - PAGE, PAGE).unwrap();
    map(&bench, DMA + DMA_LEN, PAGE).unwrap();
}

#[test]
fn reserved_and_unaligned_ranges_are_refused() {
    let bench = Bench::closed(config(&[]));
    for iova in [
        0xfee0_0000,
        0xfedf_f000 + PAGE,
        1 << 48,
        (1 << 48) - PAGE + PAGE,
        u64::MAX - PAGE + 1,
    ] {
        let refused = DmaError::OutOfAperture {
            iova: Iova(iova),
            len: PAGE,
        };
        assert_eq!(map(&bench, iova, PAGE), Err(refused), "{iova:#x}");
    }
    let across = map(&bench, 0xfedf_f000, 0x20_0000);
    assert!(matches!(across, Err(DmaError::OutOfAperture { .. })));
    map(&bench, (1 << 48) - PAGE, PAGE).unwrap();
    map(&bench, 0, PAGE).unwrap();
    for (iova, len) in [(0x1800, PAGE), (0x2000, 100), (0x2000, 0)] {
        let refused = DmaError::Misaligned {
            iova: Iova(iova),
            len,
            page: PAGE,
        };
        assert_eq!(map(&bench, iova, len), Err(refused));
    }
    let huge = Bench::closed(config(&[]));
    let memory = Memory::new(0, 2 * PAGE);
    let offset = huge.sim.dma_map(Iova(0), memory.source(100, PAGE));
    assert!(matches!(offset, Err(DmaError::Misaligned { .. })));
}

#[test]
fn a_file_that_is_too_short_is_refused_and_does_not_kill() {
    let bench = Bench::closed(config(&[]));
    let memory = Memory::new(0, PAGE);
    let refused = bench.sim.dma_map(Iova(0), memory.source(0, 2 * PAGE));
    assert!(
        matches!(refused, Err(DmaError::Os { call: "mmap", .. })),
        "{refused:?}"
    );
}

#[test]
fn entries_run_out_and_come_back() {
    let bench = Bench::closed(config(&[("iommu-entries", "3")]));
    map(&bench, 0, PAGE).unwrap();
    map(&bench, PAGE, PAGE).unwrap();
    assert_eq!(
        map(&bench, 2 * PAGE, PAGE),
        Err(DmaError::NoEntries { limit: 3 })
    );
    bench.sim.dma_unmap(Iova(0), PAGE).unwrap();
    assert_eq!(bench.sim.dma_limits().unwrap().entries_left, 1);
    map(&bench, 2 * PAGE, PAGE).unwrap();
}

#[test]
fn unmapping_takes_exactly_what_was_mapped() {
    let bench = Bench::closed(config(&[]));
    for (iova, len) in [
        (DMA, PAGE),
        (DMA + PAGE, DMA_LEN - PAGE),
        (DMA, 2 * DMA_LEN),
        (0, PAGE),
    ] {
        let refused = DmaError::NotMapped {
            iova: Iova(iova),
            len,
        };
        assert_eq!(bench.sim.dma_unmap(Iova(iova), len), Err(refused));
    }
    bench.sim.dma_unmap(Iova(DMA), DMA_LEN).unwrap();
    assert_eq!(bench.sim.dma_limits().unwrap().entries_left, 65535);
}
