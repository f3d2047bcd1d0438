//! Every decoder of the vfio-user codec, commands and replies: whatever decodes must encode to what decodes to the same.
#![no_main]

use hwpool::user::codec::*;
use libfuzzer_sys::fuzz_target;

/// Decodes, encodes and decodes again.
macro_rules! round_trip {
    ($payload:expr, $type:ty) => {
        if let Ok(value) = <$type>::decode($payload) {
            let mut again = Vec::new();
            value.encode(&mut again);
            assert_eq!(<$type>::decode(&again).as_ref(), Ok(&value));
        }
    };
}

/// As `round_trip`, for replies that say how many bytes they need and are cut to what was asked for.
macro_rules! sized_round_trip {
    ($payload:expr, $type:ty, $argsz:expr) => {
        if let Ok(mut value) = <$type>::decode($payload) {
            let mut again = Vec::new();
            value.encode(&mut again, u32::MAX);
            value.argsz = value.full_size() as u32;
            assert_eq!(<$type>::decode(&again).as_ref(), Ok(&value));
            let mut cut = Vec::new();
            value.encode(&mut cut, $argsz);
            assert!(cut.len() <= again.len());
            let _ = <$type>::decode(&cut);
        }
    };
}

/// As `round_trip`, for what is followed by data.
macro_rules! data_round_trip {
    ($payload:expr, $type:ty) => {
        round_trip!($payload, $type);
        if let Ok((value, data)) = <$type>::decode_data($payload) {
            let mut again = Vec::new();
            value.encode(&mut again);
            again.extend_from_slice(data);
            assert_eq!(<$type>::decode_data(&again), Ok((value, data)));
        }
    };
}

fn header(bytes: &[u8]) {
    let Ok(header) = Header::decode(bytes) else {
        return;
    };
    // Its size is what was declared; writing it puts the true one there.
    let mut again = Vec::new();
    header.write(&mut again, |_| ());
    let expected = Header {
        size: HEADER_SIZE as u32,
        ..header
    };
    assert_eq!(Header::decode(&again), Ok(expected));
    assert!(header.reply().is_reply() && header.refusal(5).is_error());
    assert!(!(header.is_reply() && header.is_command()));
    _ = header.payload_len();
}

fn many_writes(payload: &[u8]) {
    _ = multi_writes_done(payload);
    let Ok(writes) = multi_writes(payload) else {
        return;
    };
    let writes: Vec<MultiWrite<'_>> = writes.collect();
    let mut again = Vec::new();
    encode_multi_writes(&mut again, writes.iter().copied());
    let second = multi_writes(&again).map(Iterator::collect);
    assert_eq!(second, Ok(writes));
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([which, argsz], payload)) = bytes.split_first_chunk() else {
        return;
    };
    match which % 13 {
        0 => header(payload),
        1 => round_trip!(payload, Version),
        2 => round_trip!(payload, DmaMap),
        3 => round_trip!(payload, DmaUnmap),
        4 => round_trip!(payload, DeviceInfo),
        5 => round_trip!(payload, RegionInfoRequest),
        6 => round_trip!(payload, IoFdsRequest),
        7 => round_trip!(payload, IrqInfo),
        8 => round_trip!(payload, SetIrqs),
        9 => sized_round_trip!(payload, RegionInfo, u32::from(*argsz)),
        10 => sized_round_trip!(payload, IoFds, u32::from(*argsz)),
        11 => {
            data_round_trip!(payload, RegionAccess);
            data_round_trip!(payload, DmaAccess);
        }
        _ => many_writes(payload),
    }
});
