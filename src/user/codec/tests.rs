//! Every payload survives the way there and back, and no bytes at all do harm.

use proptest::prelude::*;

use super::*;

/// Encodes a payload.
fn bytes(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Vec::new();
    encode(&mut message);
    message
}

/// Decodes every beginning of `whole`: the whole must be read, whatever is shorter than `least` must not.
fn only_from<T>(whole: &[u8], least: usize, decode: impl Fn(&[u8]) -> Result<T, CodecError>) {
    assert!(decode(whole).is_ok(), "{whole:?}");
    for len in 0..least {
        let short = decode(&whole[..len]);
        assert!(
            matches!(short, Err(CodecError::Short { .. })),
            "{len} of {least} bytes"
        );
    }
}

fn sample_region() -> RegionInfo {
    let areas = [(0x1000, 0x1000), (0x4000, 0x2000)];
    let mut info = RegionInfo {
        index: 2,
        readable: true,
        mappable: true,
        size: 0x10000,
        offset: 0x3000,
        areas: areas
            .map(|(offset, size)| SparseArea { offset, size })
            .to_vec(),
        ..RegionInfo::default()
    };
    info.argsz = info.full_size() as u32;
    info
}

#[test]
fn headers_are_as_the_protocol_says() {
    let mut message = Vec::new();
    Header::command(0x0102, Command::RegionRead).write(&mut message, |m| m.push(7));
    let expected = [
        0x0102u16.to_ne_bytes().to_vec(),
        9u16.to_ne_bytes().to_vec(),
        17u32.to_ne_bytes().to_vec(),
        vec![0; 8],
        vec![7],
    ];
    assert_eq!(message, expected.concat());
    only_from(&message, HEADER_SIZE, Header::decode);
    let header = Header::decode(&message).unwrap();
    assert!(header.is_command() && !header.is_reply() && !header.is_posted());
    let refusal = header.refusal(22);
    assert!(refusal.is_reply() && refusal.is_error());
    assert_eq!(
        (refusal.id, refusal.command, refusal.error),
        (0x0102, 9, 22)
    );
    assert_eq!((refusal.flags, header.reply().flags), (0x21, 1));
    assert_eq!(Header::posted(1, Command::RegionWrite).flags, 0x10);
}

#[test]
fn a_size_below_the_header_is_refused() {
    let mut message = Vec::new();
    Header::command(1, Command::Version).write(&mut message, |_| ());
    message[4..8].copy_from_slice(&15u32.to_ne_bytes());
    assert!(matches!(
        Header::decode(&message),
        Err(CodecError::Value { value: 15, .. })
    ));
}

#[test]
fn commands_have_their_numbers() {
    let numbers: Vec<u16> = Command::ALL.iter().map(|c| *c as u16).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15]);
    for number in [0, 14, 16, 17, 18, 0xffff] {
        assert_eq!(Command::from_number(number), None);
    }
}

#[test]
fn layouts_are_those_of_the_kernel() {
    use std::mem::{offset_of, size_of};
    use vfio_bindings::bindings::vfio;
    assert_eq!(size_of::<vfio::vfio_region_info>(), RegionInfo::SIZE);
    assert_eq!(offset_of!(vfio::vfio_region_info, cap_offset), 12);
    assert_eq!(size_of::<vfio::vfio_region_info_cap_sparse_mmap>(), 16);
    assert_eq!(size_of::<vfio::vfio_region_sparse_mmap_area>(), 16);
    assert_eq!(size_of::<vfio::vfio_iommu_type1_dma_map>(), 32);
    assert_eq!(size_of::<vfio::vfio_iommu_type1_dma_unmap>(), 24);
    assert_eq!(size_of::<vfio::vfio_irq_info>(), 16);
    assert_eq!(size_of::<vfio::vfio_irq_set>(), 20);
}

#[test]
fn fixed_payloads_go_there_and_back_and_need_all_their_bytes() {
    let map = DmaMap {
        readable: true,
        writable: false,
        offset: 1,
        address: 2,
        size: 3,
    };
    let whole = bytes(|m| map.encode(m));
    only_from(&whole, 32, DmaMap::decode);
    assert_eq!(DmaMap::decode(&whole), Ok(map));

    let unmap = DmaUnmap {
        all: true,
        dirty_pages: false,
        address: 2,
        size: u64::MAX,
    };
    let whole = bytes(|m| unmap.encode(m));
    only_from(&whole, 24, DmaUnmap::decode);
    assert_eq!(DmaUnmap::decode(&whole), Ok(unmap));
    assert_eq!(
        whole[4..8],
        2u32.to_ne_bytes(),
        "the kernel's bit, which is not the first"
    );

    let info = DeviceInfo {
        resettable: true,
        pci: true,
        regions: 9,
        irqs: 5,
    };
    let whole = bytes(|m| info.encode(m));
    only_from(&whole, 16, DeviceInfo::decode);
    assert_eq!(DeviceInfo::decode(&whole), Ok(info));

    let info = IrqInfo {
        flags: 1,
        index: 2,
        count: 32,
    };
    let whole = bytes(|m| info.encode(m));
    only_from(&whole, 16, IrqInfo::decode);
    assert_eq!(IrqInfo::decode(&whole), Ok(info));

    let request = RegionInfoRequest {
        argsz: 64,
        index: 7,
    };
    let whole = bytes(|m| request.encode(m));
    only_from(&whole, 32, RegionInfoRequest::decode);
    assert_eq!(RegionInfoRequest::decode(&whole), Ok(request));

    let request = IoFdsRequest {
        argsz: 64,
        index: 7,
    };
    let whole = bytes(|m| request.encode(m));
    only_from(&whole, 16, IoFdsRequest::decode);
    assert_eq!(IoFdsRequest::decode(&whole), Ok(request));
}

#[test]
fn data_need_as_many_bytes_as_are_counted() {
    let access = RegionAccess {
        offset: 8,
        region: 2,
        count: 4,
    };
    let whole = bytes(|m| {
        access.encode(m);
        m.extend([1, 2, 3, 4, 5]);
    });
    only_from(&whole, 16, RegionAccess::decode);
    only_from(&whole, 20, |bytes| {
        RegionAccess::decode_data(bytes).map(|_| ())
    });
    assert_eq!(
        RegionAccess::decode_data(&whole),
        Ok((access, &[1, 2, 3, 4][..]))
    );

    let access = DmaAccess {
        address: 8,
        count: 4,
    };
    let whole = bytes(|m| {
        access.encode(m);
        m.extend([1, 2, 3, 4, 5]);
    });
    only_from(&whole, 20, |bytes| {
        DmaAccess::decode_data(bytes).map(|_| ())
    });
    assert_eq!(
        DmaAccess::decode_data(&whole),
        Ok((access, &[1, 2, 3, 4][..]))
    );
    assert_eq!(
        DmaAccess::decode(&whole[..12]).unwrap().count,
        4,
        "a count of 32 bits"
    );
}

#[test]
fn huge_counts_are_refused_without_memory() {
    let access = RegionAccess {
        offset: 0,
        region: 0,
        count: u32::MAX,
    };
    let whole = bytes(|m| access.encode(m));
    assert!(RegionAccess::decode_data(&whole).is_err());
    let access = DmaAccess {
        address: 0,
        count: u64::MAX,
    };
    let whole = bytes(|m| access.encode(m));
    assert!(DmaAccess::decode_data(&whole).is_err());
    assert!(multi_writes(&u64::MAX.to_ne_bytes()).is_err());
    assert!(multi_writes(&(u64::MAX / 24 + 1).to_ne_bytes()).is_err());
    let irqs = SetIrqs {
        action: IrqAction::Mask,
        data: IrqData::Bool(&[1]),
        index: 2,
        start: 0,
        count: u32::MAX,
    };
    let whole = bytes(|m| irqs.encode(m));
    assert!(SetIrqs::decode(&whole).is_err());
    let mut region = bytes(|m| sample_region().encode(m, 4096));
    region[40..44].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(RegionInfo::decode(&region).is_err());
    let fds = IoFds {
        argsz: 0,
        index: 2,
        parts: Vec::new(),
    };
    let mut fds = bytes(|m| fds.encode(m, 4096));
    fds[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(IoFds::decode(&fds).is_err());
}

#[test]
fn interrupts_need_one_action_and_one_kind_of_data() {
    let bools = [1, 0, 1];
    for (action, data) in [
        (IrqAction::Trigger, IrqData::Eventfd),
        (IrqAction::Mask, IrqData::None),
        (IrqAction::Unmask, IrqData::Bool(&bools)),
    ] {
        let irqs = SetIrqs {
            action,
            data,
            index: 2,
            start: 1,
            count: 3,
        };
        let whole = bytes(|m| irqs.encode(m));
        only_from(&whole, whole.len(), |bytes| {
            SetIrqs::decode(bytes).map(|_| ())
        });
        assert_eq!(SetIrqs::decode(&whole), Ok(irqs));
    }
    for flags in [0, 1, 0x20, 0x21 | 2, 0x21 | 8, 0x38, 0x40 | 1] {
        let mut whole = vec![0; 20];
        whole[4..8].copy_from_slice(&u32::to_ne_bytes(flags));
        assert!(SetIrqs::decode(&whole).is_err(), "{flags:#x}");
    }
}

#[test]
fn regions_bring_their_areas_when_there_is_room() {
    let info = sample_region();
    let whole = bytes(|m| info.encode(m, 4096));
    assert_eq!(whole.len(), info.full_size());
    assert_eq!(RegionInfo::decode(&whole), Ok(info.clone()));
    let part = bytes(|m| info.encode(m, info.full_size() as u32 - 1));
    assert_eq!(part.len(), RegionInfo::SIZE);
    let decoded = RegionInfo::decode(&part).unwrap();
    assert_eq!(
        (decoded.argsz as usize, decoded.areas.len()),
        (info.full_size(), 0)
    );
}

#[test]
fn a_list_of_capabilities_can_not_go_round() {
    let mut whole = bytes(|m| sample_region().encode(m, 4096));
    for next in [32u32, 33, 39, 1, whole.len() as u32 - 1, u32::MAX] {
        whole[36..40].copy_from_slice(&next.to_ne_bytes());
        assert!(RegionInfo::decode(&whole).is_err(), "{next}");
    }
}

#[test]
fn unknown_capabilities_are_passed_over() {
    let mut whole = bytes(|m| sample_region().encode(m, 4096));
    whole[32..34].copy_from_slice(&3u16.to_ne_bytes());
    assert_eq!(RegionInfo::decode(&whole).unwrap().areas, []);
}

#[test]
fn descriptors_of_regions_may_be_longer_than_known() {
    let part = IoFd {
        offset: 8,
        size: 8,
        fd_index: 0,
        kind: 0,
        flags: 1,
        data: 5,
    };
    let reply = IoFds {
        argsz: 96,
        index: 2,
        parts: vec![part, IoFd { offset: 16, ..part }],
    };
    let whole = bytes(|m| reply.encode(m, 4096));
    assert_eq!(IoFds::decode(&whole), Ok(reply.clone()));
    // 48 bytes a part, as a later version may have it.
    let mut longer = whole[..56].to_vec();
    longer.extend([0; 8]);
    longer.extend(&whole[56..]);
    longer.extend([0; 8]);
    longer[..4].copy_from_slice(&112u32.to_ne_bytes());
    assert_eq!(IoFds::decode(&longer).unwrap().parts, reply.parts);
}

#[test]
fn versions_go_there_and_back_and_have_defaults() {
    let version = Version {
        major: 0,
        minor: 1,
        capabilities: Capabilities {
            max_msg_fds: 64,
            write_multiple: true,
            twin_socket: true,
            ..Default::default()
        },
    };
    let whole = bytes(|m| version.encode(m));
    assert_eq!(whole.last(), Some(&0), "the text ends with a zero");
    assert_eq!(Version::decode(&whole), Ok(version.clone()));
    assert_eq!(Version::decode(&whole[..whole.len() - 1]), Ok(version));
    for text in [
        &b""[..],
        b"\0",
        b"{}",
        b"{\"capabilities\":{}}\0",
        b"{\"capabilities\":{\"x\":[1]}}",
        b"{\"capabilities\":{\"twin_socket\":{\"fd_index\":1}}}",
    ] {
        let payload = [&[0, 0, 0, 0], text].concat();
        assert_eq!(
            Version::decode(&payload).unwrap().capabilities,
            Capabilities::default()
        );
    }
}

#[test]
fn malformed_versions_are_refused() {
    for text in [
        &b"{"[..],
        b"[]",
        b"\xff\xfe",
        b"{\"capabilities\":7}",
        b"{\"capabilities\":{\"max_msg_fds\":-1}}",
        b"{\"capabilities\":{\"max_data_xfer_size\":\"big\"}}",
        b"{\"capabilities\":{\"write_multiple\":1}}",
        b"{\"capabilities\":{\"twin_socket\":true}}",
        b"{\"capabilities\":{\"twin_socket\":{\"supported\":1}}}",
    ] {
        let payload = [&[0, 0, 0, 0], text].concat();
        assert!(
            matches!(Version::decode(&payload), Err(CodecError::Json { .. })),
            "{text:?}"
        );
    }
    let deep = [&[0; 4][..], "[".repeat(100_000).as_bytes()].concat();
    assert!(
        Version::decode(&deep).is_err(),
        "nesting that no stack holds"
    );
}

#[test]
fn many_writes_are_checked_before_the_first() {
    let write = |offset, data| MultiWrite {
        access: RegionAccess {
            offset,
            region: 2,
            count: 4,
        },
        data,
    };
    let whole = bytes(|m| {
        let writes = [write(8, &[1, 2, 3, 4]), write(16, &[5, 6, 7, 8])];
        encode_multi_writes(m, writes.into_iter());
    });
    only_from(&whole, 56, |bytes| multi_writes(bytes).map(|_| ()));
    let writes: Vec<_> = multi_writes(&whole).unwrap().collect();
    assert_eq!(writes, [write(8, &[1, 2, 3, 4]), write(16, &[5, 6, 7, 8])]);
    let mut long = whole;
    long[8 + 24 + 12..][..4].copy_from_slice(&9u32.to_ne_bytes());
    assert!(multi_writes(&long).is_err());
    let reply = bytes(|m| multi_writes_reply(m, 7));
    only_from(&reply, 8, multi_writes_done);
    assert_eq!(multi_writes_done(&reply), Ok(7));
}

proptest! {
    #[test]
    fn arbitrary_bytes_decode_or_are_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Header::decode(&payload);
        let _ = Version::decode(&payload);
        let _ = DmaMap::decode(&payload);
        let _ = DmaUnmap::decode(&payload);
        let _ = DmaAccess::decode(&payload);
        let _ = DmaAccess::decode_data(&payload);
        let _ = DeviceInfo::decode(&payload);
        let _ = RegionInfoRequest::decode(&payload);
        let _ = RegionInfo::decode(&payload);
        let _ = IoFdsRequest::decode(&payload);
        let _ = IoFds::decode(&payload);
        let _ = IrqInfo::decode(&payload);
        let _ = SetIrqs::decode(&payload);
        let _ = RegionAccess::decode(&payload);
        let _ = RegionAccess::decode_data(&payload);
        let _ = multi_writes(&payload).map(Iterator::count);
    }

    #[test]
    fn damaged_regions_decode_or_are_refused(at in 0usize..80, byte in any::<u8>()) {
        let mut whole = bytes(|m| sample_region().encode(m, 4096));
        whole[at] = byte;
        let _ = RegionInfo::decode(&whole);
    }

    #[test]
    fn regions_go_there_and_back(
        index in any::<u32>(), size in any::<u64>(), offset in any::<u64>(),
        areas in prop::collection::vec(any::<(u64, u64)>(), 0..20),
    ) {
        let areas = areas.into_iter().map(|(offset, size)| SparseArea { offset, size }).collect();
        let mut info = RegionInfo { index, size, offset, areas, ..RegionInfo::default() };
        info.argsz = info.full_size() as u32;
        let whole = bytes(|m| info.encode(m, u32::MAX));
        prop_assert_eq!(RegionInfo::decode(&whole), Ok(info));
    }
}
