//! CMSIS-SVD: what is inherited and derived, arrays and names.

use crate::grid::{left_out, lines, refused, taken};

fn device(above: &str, peripherals: &str) -> String {
    format!("<device><name>D</name>{above}\n<peripherals>{peripherals}</peripherals></device>")
}

fn peripheral(inner: &str) -> String {
    device(
        "",
        &format!("<peripheral><name>P</name><baseAddress>0</baseAddress>\n{inner}</peripheral>"),
    )
}

fn register(name: &str, at: u64, inner: &str) -> String {
    format!("<register><name>{name}</name><addressOffset>{at:#x}</addressOffset>{inner}</register>")
}

#[test]
fn size_access_and_reset_are_inherited_from_the_nearest() {
    let text = device(
        "<size>64</size><access>read-only</access><resetValue>0x7</resetValue>",
        &format!(
            "<peripheral><name>P</name><baseAddress>0</baseAddress><size>32</size><registers>{}
<cluster><name>C</name><addressOffset>0x20</addressOffset><access>write-only</access><resetValue>0x9</resetValue>{}{}</cluster>{}</registers></peripheral>",
            register("A", 0x0, ""),
            register("B", 0x0, ""),
            register("C", 0x4, "<access>read-write</access><resetMask>0xff</resetMask>"),
            register("D", 0x10, "<size>64</size><resetValue>0</resetValue>"),
        ),
    );
    let expected = [
        "A 0x0 RO = 0x7",
        "C_B 0x20 WO = 0x9",
        "C_C 0x24 RW",
        "D_LOW 0x10 RO = 0x0",
        "D_HIGH 0x14 RO = 0x0",
    ];
    assert_eq!(lines(&text, None), expected);
}

#[test]
fn what_is_derived_says_what_it_does_not_say_itself() {
    let first = format!(
        "<peripheral><name>ONE</name><access>read-only</access><baseAddress>0x4000</baseAddress><registers>
<cluster><name>PORT</name><addressOffset>0x20</addressOffset>{}</cluster>{}{}</registers></peripheral>",
        register("HEAD", 0x4, "<resetValue>3</resetValue>"),
        register("BASE", 0x0, "<access>write-only</access><resetValue>1</resetValue><fields><field><name>F</name><lsb>0</lsb><msb>3</msb></field></fields>"),
        "<register derivedFrom=\"BASE\"><name>LIKE</name><addressOffset>8</addressOffset><resetValue>2</resetValue></register>",
    );
    let rest = "<peripheral derivedFrom=\"ONE\"><name>TWO</name><baseAddress>0x5000</baseAddress><access>read-write</access></peripheral>
<peripheral><name>THREE</name><baseAddress>0x6000</baseAddress><registers>
<cluster derivedFrom=\"ONE.PORT\"><name>MINE</name><addressOffset>0x40</addressOffset></cluster>
<register derivedFrom=\"ONE.PORT.HEAD\"><name>FAR</name><addressOffset>0x10</addressOffset></register>
<register derivedFrom=\"FAR\"><name>CHAIN</name><addressOffset>0x14</addressOffset></register></registers></peripheral>";
    let text = device("", &(first + rest));
    let one = [
        "PORT_HEAD 0x24 RO = 0x3",
        "BASE 0x0 WO = 0x1",
        "LIKE 0x8 WO = 0x2",
    ];
    assert_eq!(lines(&text, Some("ONE")), one);
    let two = [
        "PORT_HEAD 0x24 RW = 0x3",
        "BASE 0x0 WO = 0x1",
        "LIKE 0x8 WO = 0x2",
    ];
    assert_eq!(lines(&text, Some("TWO")), two);
    let three = [
        "MINE_HEAD 0x44 RW = 0x3",
        "FAR 0x10 RW = 0x3",
        "CHAIN 0x14 RW = 0x3",
    ];
    assert_eq!(lines(&text, Some("THREE")), three);
    // Without a block, places count from the lowest peripheral.
    assert_eq!(lines(&text, None)[3], "TWO_PORT_HEAD 0x1024 RW = 0x3");
    let like = taken(&text, Some("ONE")).expect("it is read").remove(2);
    assert_eq!((like.bits, &*like.fields[0].name), (0xf, "F"));
}

#[test]
fn a_name_means_the_nearest_of_that_name() {
    let like = |name: &str, at: u64| {
        format!(
            "<register derivedFrom=\"{name}\"><name>LIKE_{name}</name><addressOffset>{at}</addressOffset></register>"
        )
    };
    let reset = |value: u64| format!("<resetValue>{value}</resetValue>");
    let text = device(
        "",
        &format!(
            "<peripheral><name>ONE</name><baseAddress>0</baseAddress><registers>{}{}</registers></peripheral>
<peripheral><name>TWO</name><baseAddress>0x100</baseAddress><registers>
<cluster><name>C</name><addressOffset>0x20</addressOffset>{}{}</cluster>{}{}{}</registers></peripheral>",
            register("A", 0, &reset(1)),
            register("B", 4, &reset(2)),
            register("A", 0, &reset(3)),
            register("B", 4, &reset(4)),
            register("A", 0, &reset(5)),
            like("A", 8),
            like("B", 12),
        ),
    );
    let two = lines(&text, Some("TWO"));
    // Beside it, else in its peripheral.
    let expected = ["LIKE_A 0x8 RW = 0x5", "LIKE_B 0xc RW = 0x4"];
    assert_eq!(two[3..], expected);
}

#[test]
fn arrays_are_named_by_their_indices() {
    let array = |index: &str| {
        peripheral(&format!(
            "<registers><register><dim>3</dim><dimIncrement>8</dimIncrement>{index}<name>R%sX</name><addressOffset>0</addressOffset></register></registers>"
        ))
    };
    for (index, names) in [
        ("", ["R0X 0x0 RW", "R1X 0x8 RW", "R2X 0x10 RW"]),
        (
            "<dimIndex>4-6</dimIndex>",
            ["R4X 0x0 RW", "R5X 0x8 RW", "R6X 0x10 RW"],
        ),
        (
            "<dimIndex>A-C</dimIndex>",
            ["RAX 0x0 RW", "RBX 0x8 RW", "RCX 0x10 RW"],
        ),
        (
            "<dimIndex>UP,DOWN,ALL</dimIndex>",
            ["RUPX 0x0 RW", "RDOWNX 0x8 RW", "RALLX 0x10 RW"],
        ),
    ] {
        assert_eq!(lines(&array(index), None), names);
    }
    let many = device(
        "",
        &format!(
            "<peripheral><dim>2</dim><dimIncrement>0x100</dimIncrement><name>P[%s]</name><baseAddress>0x1000</baseAddress><registers>{}</registers></peripheral>",
            register("R", 4, "")
        ),
    );
    assert_eq!(lines(&many, None), ["P0_R 0x4 RW", "P1_R 0x104 RW"]);
    assert_eq!(lines(&many, Some("P1")), ["R 0x4 RW"]);
}

#[test]
fn what_can_not_be_accessed_has_a_reason() {
    let text = peripheral(&format!(
        "<registers>{}{}{}{}</registers>",
        register("A", 0, ""),
        register("VIEW", 0, "<alternateRegister>A</alternateRegister>"),
        register("BYTE", 4, "<size>8</size>"),
        register("CLOSED", 8, "<access>no-access</access>"),
    ));
    assert_eq!(lines(&text, None), ["A 0x0 RW"]);
    assert_eq!(left_out(&text, "VIEW"), "it shares bytes with A");
    assert_eq!(
        left_out(&text, "BYTE"),
        "it has 8 bits: accesses have 32 or 64"
    );
    assert_eq!(left_out(&text, "CLOSED"), "it has no access");
}

#[test]
fn what_can_not_be_has_a_place() {
    for (inner, why) in [
        (register("R", 0, "<access>rw</access>"), "3:70: <access> is `rw`: it may be read-only, write-only, read-write, writeOnce, read-writeOnce or no-access"),
        (register("R", 0, "<size>many</size>"), "3:70: <size> is `many`: it is no whole number"),
        (register("R", 0, "<fields><field><name>F</name></field></fields>"), "3:78: the field says nowhere which bits it has"),
        (register("R", 0, "<fields><field><name>F</name><bitRange>[32:0]</bitRange></field></fields>"), "3:78: the field lies at bits 32:0, and its register has 32"),
        ("<register derivedFrom=\"NONE\"><name>R</name></register>".into(), "3:12: it is derived from `NONE`, which is not there"),
        ("<register derivedFrom=\"B\"><name>A</name></register><register derivedFrom=\"A\"><name>B</name></register>".into(), "3:12: it is derived from itself"),
        ("<register><dim>65537</dim><name>A%s</name></register>".into(), "3:12: there are more than 65536 registers"),
        ("<register><addressOffset>0</addressOffset></register>".into(), "3:12: it has no <name>"),
    ] {
        let text = peripheral(&format!("\n<registers>{inner}</registers>")).replace("\n\n", "\n");
        assert_eq!(refused(&text), why, "{text}");
    }
}
