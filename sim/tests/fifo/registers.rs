//! The register table, typed a second time from SPEC.md, against the model and against `regs.rs`.

use hwpool_devices::fifo::regs::TABLE;

/// Name, offset, access, value after reset, bits that exist; section 3 of SPEC.md.
///
/// Where the table has no value, it is what the model's defaults make of it.
const GOLDEN: &[(&str, u64, &str, u32, u32)] = &[
    ("IDENTITY", 0x00, "RO", 0x4f46_4946, u32::MAX),
    ("VERSION", 0x04, "RO", 0x0001_0000, u32::MAX),
    ("DEPTH", 0x08, "RO", 0x0010_0000, 0x01ff_ffff),
    ("SCRATCH", 0x0c, "RW", 0, 0x7fff_ffff),
    ("CONTROL", 0x10, "RW", 0, 3),
    ("STATUS", 0x14, "RO", 3, 7),
    ("LEVEL", 0x18, "RO", 0, 0x01ff_ffff),
    ("ERROR", 0x1c, "W1C", 0, 7),
    ("POP", 0x20, "RE", 0, 0x80ff_ffff),
    ("PUSH", 0x24, "WO", 0, 0x00ff_ffff),
    ("RESET", 0x28, "WO", 0, u32::MAX),
    ("RESET_COUNT", 0x2c, "RO", 0, 0x7fff_ffff),
    ("THRESHOLD", 0x30, "RW", 0, 0x01ff_ffff),
    ("EVENT", 0x34, "W1C", 0, 1),
    ("EVENT_SET", 0x38, "W1S", 0, 1),
];

#[test]
fn the_table_is_the_specification() {
    let table: Vec<_> = (TABLE.iter())
        .map(|r| {
            (
                &*r.name,
                r.bar(),
                r.offset(),
                r.width,
                r.access.mnemonic(),
                r.bits,
            )
        })
        .collect();
    let golden: Vec<_> = (GOLDEN.iter())
        .map(|&(name, offset, access, _, bits)| (name, 0, offset, 4, access, u64::from(bits)))
        .collect();
    assert_eq!(table, golden);
    for (row, golden) in TABLE.iter().zip(GOLDEN) {
        let varies = ["DEPTH", "POP", "RESET_COUNT"].contains(&golden.0);
        let reset = (!varies).then_some(u64::from(golden.3));
        assert_eq!(row.reset, reset, "{}", row.name);
    }
}
