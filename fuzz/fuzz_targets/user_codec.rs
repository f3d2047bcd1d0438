//! Every decoder of the vfio-user codec, in both directions: whatever decodes must encode to what decodes to the same.
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

fuzz_target!(|bytes: &[u8]| {
    let Some((which, payload)) = bytes.split_first() else {
        return;
    };
    match which % 13 {
        0 => _ = Header::decode(payload),
        1 => round_trip!(payload, Version),
        2 => round_trip!(payload, DmaMap),
        3 => round_trip!(payload, DmaUnmap),
        4 => round_trip!(payload, DeviceInfo),
        5 => round_trip!(payload, RegionInfoRequest),
        6 => round_trip!(payload, IoFdsRequest),
        7 => round_trip!(payload, IrqInfo),
        8 => round_trip!(payload, SetIrqs),
        9 => {
            if let Ok(mut info) = RegionInfo::decode(payload) {
                let mut again = Vec::new();
                info.encode(&mut again, u32::MAX);
                info.argsz = info.full_size() as u32;
                assert_eq!(RegionInfo::decode(&again).as_ref(), Ok(&info));
            }
        }
        10 => _ = IoFds::decode(payload),
        11 => {
            _ = RegionAccess::decode_data(payload);
            _ = DmaAccess::decode(payload);
            _ = DmaAccess::decode_data(payload);
        }
        _ => _ = multi_writes(payload).map(Iterator::count),
    }
});
