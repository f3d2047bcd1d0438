use proptest::prelude::*;

use super::*;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

fn limits(ranges: &[RangeInclusive<u64>]) -> DmaLimits {
    DmaLimits {
        ranges: ranges.to_vec(),
        page_sizes: 0x4020_1000,
        entries_left: 65535,
    }
}

fn allocator(ranges: &[RangeInclusive<u64>], width: u32) -> IovaAllocator {
    IovaAllocator::new(&limits(ranges), width).unwrap()
}

#[test]
fn the_first_mebibyte_is_never_handed_out() {
    let mut iovas = allocator(&[0..=u64::MAX], 64);
    assert_eq!(iovas.allocate(1, 1), Ok(Iova(MIB)));
    let error = iovas.reserve(Iova(0), PAGE).unwrap_err();
    assert!(matches!(error, IovaError::Outside { .. }), "{error}");
}

#[test]
fn the_address_width_cuts_the_ranges() {
    let all = [0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1];
    let mut iovas = allocator(&all, 32);
    assert_eq!(iovas.available(), (1 << 32) - MIB - MIB);
    assert_eq!(iovas.reserve(Iova(0xffff_f000), PAGE), Ok(()));
    assert!(iovas.reserve(Iova(0xffff_f000), 2 * PAGE).is_err());
    assert!(iovas.reserve(Iova(1 << 32), PAGE).is_err());
    // The window of the interrupts is in neither range.
    assert!(iovas.reserve(Iova(0xfee0_0000), PAGE).is_err());
}

#[test]
fn ranges_from_a_stranger_are_put_in_order() {
    let messy = [
        0x30_0000..=0x3f_ffff,
        0x50_0fff..=0x50_2ffe,
        0x20_0000..=0x2f_ffff,
        0x28_0000..=0x31_ffff,
        0x80_0000..=0x8f_ffff,
        0x81_0000..=0x82_ffff,
        #[expect(clippy::reversed_empty_ranges, reason = "a stranger's nonsense")]
        {
            0x70_0000..=0x60_0000
        },
    ];
    let iovas = allocator(&messy, 64);
    let expected = vec![
        0x20_0000..=0x3f_ffff,
        0x50_1000..=0x50_1fff,
        0x80_0000..=0x8f_ffff,
    ];
    assert_eq!(iovas.offered(), IovaRanges(expected));
}

#[test]
fn limits_without_sense_are_errors() {
    for width in [0, 65, u32::MAX] {
        let error = IovaAllocator::new(&limits(&[0..=u64::MAX]), width).unwrap_err();
        assert_eq!(error, IovaError::AddressWidth { width });
    }
    let error = IovaAllocator::new(&limits(&[0..=u64::MAX]), 20).unwrap_err();
    assert!(
        matches!(error, IovaError::NoRanges { width: 20, .. }),
        "{error}"
    );
    let mut none = limits(&[0..=u64::MAX]);
    none.page_sizes = 0;
    assert_eq!(
        IovaAllocator::new(&none, 64).unwrap_err(),
        IovaError::NoPageSize
    );
    none.page_sizes = 1 << 63;
    assert!(IovaAllocator::new(&none, 64).is_err());
}

#[test]
fn exhaustion_tells_what_is_left() {
    let mut iovas = allocator(&[MIB..=2 * MIB - 1], 40);
    iovas.reserve(Iova(MIB + 16 * PAGE), PAGE).unwrap();
    let error = iovas.allocate(MIB, PAGE).unwrap_err();
    let text = error.to_string();
    for number in [
        "0x100000 bytes",
        "hole has 0xef000",
        "0x100000-0x1fffff",
        "40 address bits",
    ] {
        assert!(text.contains(number), "{number} not in: {text}");
    }
    assert!(iovas.allocate(PAGE, 4 * MIB).is_err());
    assert!(iovas.allocate(u64::MAX, 1).is_err());
    assert_eq!(iovas.allocate(0, 1), Err(IovaError::Length { len: 0 }));
    assert_eq!(iovas.allocate(1, 3), Err(IovaError::Alignment { align: 3 }));
    assert_eq!(iovas.allocate(1, 0), Err(IovaError::Alignment { align: 0 }));
}

#[test]
fn a_fixed_range_in_use_names_who_is_in_the_way() {
    let mut iovas = allocator(&[0..=16 * MIB], 64);
    iovas.reserve(Iova(2 * MIB), 3 * PAGE).unwrap();
    for (iova, len) in [
        (2 * MIB - PAGE, 2 * PAGE),
        (2 * MIB + 2 * PAGE, PAGE),
        (2 * MIB, 1),
    ] {
        let expected = IovaError::Taken {
            iova: Iova(iova),
            len,
            used_iova: Iova(2 * MIB),
            used_len: 3 * PAGE,
        };
        assert_eq!(iovas.reserve(Iova(iova), len), Err(expected));
    }
    let odd = iovas.reserve(Iova(4 * MIB + 8), PAGE);
    assert!(matches!(odd, Err(IovaError::Misaligned { page: PAGE, .. })));
}

#[test]
fn only_what_was_taken_can_be_freed_and_once() {
    let mut iovas = allocator(&[0..=16 * MIB], 64);
    let iova = iovas.allocate(2 * PAGE, PAGE).unwrap();
    for (at, len) in [(iova.0, PAGE), (iova.0 + PAGE, PAGE), (iova.0, 3 * PAGE)] {
        let len_error = IovaError::NotTaken {
            iova: Iova(at),
            len,
        };
        assert_eq!(iovas.free(Iova(at), len), Err(len_error));
    }
    assert_eq!(iovas.free(iova, 2 * PAGE - 1), Ok(()));
    assert!(iovas.free(iova, 2 * PAGE).is_err());
}

/// Pages of the world that the property test lives in, from 1 MiB.
const WORLD: usize = 96;
/// Pages of it that the IOMMU does not translate.
const WINDOW: Range<usize> = 40..45;

#[derive(Debug, Clone)]
enum Operation {
    Allocate { len: u64, align: u64 },
    Reserve { page: u64, len: u64 },
    Free { which: prop::sample::Index },
}

fn operation() -> impl Strategy<Value = Operation> {
    let len = 1..12 * PAGE;
    prop_oneof![
        3 => (len.clone(), 0..17u32).prop_map(|(len, log2)| Operation::Allocate { len, align: 1 << log2 }),
        1 => (0..WORLD as u64 + 4, len).prop_map(|(page, len)| Operation::Reserve { page, len }),
        3 => any::<prop::sample::Index>().prop_map(|which| Operation::Free { which }),
    ]
}

/// The reference: one flag a page, first fit by trying every page.
struct Reference {
    free: Vec<bool>,
}

impl Reference {
    fn new() -> Reference {
        let free = (0..WORLD).map(|page| !WINDOW.contains(&page)).collect();
        Reference { free }
    }

    fn is_free(&self, start: usize, count: usize) -> bool {
        let pages = self.free.get(start..start + count);
        pages.is_some_and(|pages| pages.iter().all(|free| *free))
    }

    fn set(&mut self, start: usize, count: usize, free: bool) {
        self.free[start..start + count].fill(free);
    }

    fn allocate(&mut self, count: usize, align: u64) -> Option<usize> {
        let fits = |start: &usize| {
            (MIB + *start as u64 * PAGE).is_multiple_of(align) && self.is_free(*start, count)
        };
        let start = (0..WORLD).find(fits)?;
        self.set(start, count, false);
        Some(start)
    }
}

fn page_of(iova: Iova) -> usize {
    ((iova.0 - MIB) / PAGE) as usize
}

proptest! {
    /// Same answers as the reference, which can neither overlap nor leave the ranges; everything free at the end.
    #[test]
    fn behaves_as_a_map_of_pages(operations in prop::collection::vec(operation(), 1..120)) {
        let at = |page: usize| MIB + page as u64 * PAGE;
        let ranges = [0..=at(WINDOW.start) - 1, at(WINDOW.end)..=at(WORLD) - 1];
        let mut iovas = allocator(&ranges, 64);
        let start = iovas.holes.clone();
        let mut reference = Reference::new();
        let mut live: Vec<(Iova, u64)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Allocate { len, align } => {
                    let expected = reference.allocate(len.div_ceil(PAGE) as usize, align);
                    let got = iovas.allocate(len, align).ok();
                    prop_assert_eq!(got.map(page_of), expected);
                    live.extend(got.map(|iova| (iova, len)));
                }
                Operation::Reserve { page, len } => {
                    let count = len.div_ceil(PAGE) as usize;
                    let iova = Iova(at(page as usize));
                    let expected = reference.is_free(page as usize, count);
                    prop_assert_eq!(iovas.reserve(iova, len).is_ok(), expected);
                    if expected {
                        reference.set(page as usize, count, false);
                        live.push((iova, len));
                    }
                }
                Operation::Free { which } if !live.is_empty() => {
                    let (iova, len) = live.swap_remove(which.index(live.len()));
                    prop_assert_eq!(iovas.free(iova, len), Ok(()));
                    reference.set(page_of(iova), len.div_ceil(PAGE) as usize, true);
                }
                Operation::Free { .. } => {}
            }
            let free = reference.free.iter().filter(|free| **free).count() as u64;
            prop_assert_eq!(iovas.available(), free * PAGE);
        }
        for (iova, len) in live {
            prop_assert_eq!(iovas.free(iova, len), Ok(()));
        }
        prop_assert_eq!(&iovas.holes, &start);
        prop_assert!(iovas.taken.is_empty());
    }
}
