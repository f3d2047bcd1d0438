//! IP-XACT: what is inherited, present and elsewhere, in the words of each year.

use crate::grid::{left_out, lines, refused};

const YEARS: [(u32, &str); 3] = [
    (
        2009,
        "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009",
    ),
    (2014, "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"),
    (2022, "http://www.accellera.org/XMLSchema/IPXACT/1685-2022"),
];

fn component(year: u32, map: &str) -> String {
    let (_, namespace) = YEARS
        .iter()
        .find(|(other, _)| *other == year)
        .expect("a year");
    format!(
        "<component xmlns=\"{namespace}\"><parameters><parameter parameterId=\"WITH_IT\"><value>0</value></parameter></parameters>
<memoryMaps><memoryMap><name>M</name>\n{map}</memoryMap></memoryMaps></component>"
    )
}

fn block(year: u32, inner: &str) -> String {
    component(
        year,
        &format!(
            "<addressBlock><name>B</name><baseAddress>0</baseAddress><range>256</range>\n{inner}</addressBlock>"
        ),
    )
}

fn register(name: &str, at: u64, inner: &str) -> String {
    format!(
        "<register><name>{name}</name><addressOffset>{at}</addressOffset><size>32</size>{inner}</register>"
    )
}

fn field(inner: &str) -> String {
    format!("<field><name>F</name><bitOffset>0</bitOffset><bitWidth>8</bitWidth>{inner}</field>")
}

/// An access as each year says it of a block, a file or a register, or of a field.
fn access(year: u32, way: &str) -> (String, String) {
    let said = format!("<access>{way}</access>");
    match year {
        2022 => (
            format!("<accessPolicies><accessPolicy>{said}</accessPolicy></accessPolicies>"),
            format!(
                "<fieldAccessPolicies><fieldAccessPolicy>{said}</fieldAccessPolicy></fieldAccessPolicies>"
            ),
        ),
        _ => (said.clone(), said),
    }
}

#[test]
fn an_access_is_that_of_what_lies_around() {
    for (year, _) in YEARS {
        let (read, _) = access(year, "read-only");
        let (write, field_write) = access(year, "write-only");
        let inner = [
            read,
            register("OF_BLOCK", 0, ""),
            register("FIELD_OF_BLOCK", 4, &field("")),
            register("OWN", 8, &write),
            register("FIELD_OF_OWN", 12, &(write.clone() + &field(""))),
            register("FIELD", 16, &field(&field_write)),
            "<registerFile><name>RF</name><addressOffset>32</addressOffset><range>8</range>".into(),
            // Until 2014 a register file says nothing of accesses.
            if year == 2022 {
                write.clone()
            } else {
                String::new()
            },
            register("DEEP", 0, ""),
            "</registerFile>".into(),
        ];
        let deep = if year == 2022 {
            "RF_DEEP 0x20 WO"
        } else {
            "RF_DEEP 0x20 RO"
        };
        let expected = [
            "OF_BLOCK 0x0 RO",
            "FIELD_OF_BLOCK 0x4 RO",
            "OWN 0x8 WO",
            "FIELD_OF_OWN 0xc WO",
            "FIELD 0x10 WO",
            deep,
        ];
        assert_eq!(
            lines(&block(year, &inner.concat()), None),
            expected,
            "{year}"
        );
        // And where nothing says anything, both ways.
        assert_eq!(
            lines(&block(year, &register("R", 0, "")), None),
            ["R 0x0 RW"],
            "{year}"
        );
    }
}

#[test]
fn a_map_has_several_blocks_and_serial_banks() {
    for (year, _) in YEARS {
        let one = |name: &str| register(name, 4, "");
        let map = format!(
            "<addressBlock><name>A</name><baseAddress>256</baseAddress><range>64</range>{}</addressBlock>
<bank bankAlignment=\"serial\"><name>K</name><baseAddress>4096</baseAddress>{}
<addressBlock><name>C</name><range>64</range>{}</addressBlock>
<bank bankAlignment=\"serial\"><name>L</name><addressBlock><name>D</name><range>32</range>{}</addressBlock></bank>
<addressBlock><name>E</name><range>64</range>{}</addressBlock></bank>",
            one("R"),
            access(year, "read-only").0,
            one("R"),
            one("R"),
            one("R"),
        );
        let text = component(year, &map);
        let expected = [
            "A_R 0x104 RW",
            "C_R 0x1004 RO",
            "D_R 0x1044 RO",
            "E_R 0x1064 RO",
        ];
        assert_eq!(lines(&text, None), expected, "{year}");
        assert_eq!(
            lines(&text, Some("K")).len(),
            3,
            "a bank is named as its blocks are"
        );
        assert_eq!(lines(&text, Some("E")), ["R 0x1064 RO"]);
    }
    let side_by_side = "<bank bankAlignment=\"parallel\"><name>K</name></bank>";
    let why = "3:1: its blocks lie side by side, so that each has some bits of a word: only serial banks are read";
    assert_eq!(refused(&component(2014, side_by_side)), why);
    let array = "<addressBlock><name>A</name><array><dim>2</dim><stride>512</stride></array><baseAddress>256</baseAddress><range>64</range>\n";
    let array = component(
        2022,
        &format!("{array}{}</addressBlock>", register("R", 4, "")),
    );
    assert_eq!(lines(&array, None), ["A0_R 0x104 RW", "A1_R 0x304 RW"]);
}

#[test]
fn what_is_not_present_is_not_there() {
    let inner = [
        register("THERE", 0, "<isPresent>WITH_IT + 1</isPresent>"),
        register("GONE", 4, "<isPresent>WITH_IT</isPresent>"),
    ];
    assert_eq!(lines(&block(2014, &inner.concat()), None), ["THERE 0x0 RW"]);
}

#[test]
fn the_policy_of_all_modes_holds() {
    let policies = |policies: &str| {
        let field = field(&format!(
            "<fieldAccessPolicies>{policies}</fieldAccessPolicies>"
        ));
        block(
            2022,
            &(register("R", 0, &field) + &register("OTHER", 4, "")),
        )
    };
    let of = |mode: &str, way: &str| {
        format!("<fieldAccessPolicy>{mode}<access>{way}</access></fieldAccessPolicy>")
    };
    let (boot, run) = (
        "<modeRef priority=\"0\">boot</modeRef>",
        "<modeRef priority=\"1\">run</modeRef>",
    );
    let text = policies(&(of(boot, "read-write") + &of("", "read-only")));
    assert_eq!(lines(&text, None)[0], "R 0x0 RO");
    assert_eq!(
        lines(&policies(&of(run, "write-only")), None)[0],
        "R 0x0 WO"
    );
    let text = policies(&(of(boot, "read-write") + &of(run, "read-only")));
    assert_eq!(lines(&text, None), ["OTHER 0x4 RW"]);
    assert_eq!(
        left_out(&text, "R"),
        "what an access does depends on a mode of the device"
    );
    let text = policies(
        "<fieldAccessPolicy><fieldAccessPolicyDefinitionRef typeDefinitions=\"t\">P</fieldAccessPolicyDefinitionRef></fieldAccessPolicy>",
    );
    assert!(left_out(&text, "R").contains("stands elsewhere"));
    assert_eq!(
        left_out(&policies(&of("", "no-access")), "R"),
        "it has no access"
    );
}

#[test]
fn what_stands_elsewhere_and_other_views_are_left_out() {
    let inner = [
        register(
            "R",
            0,
            "<alternateRegisters><alternateRegister><name>VIEW</name></alternateRegister></alternateRegisters>",
        ),
        register(
            "TYPED",
            4,
            "<registerDefinitionRef typeDefinitions=\"t\">D</registerDefinitionRef>",
        ),
        register(
            "ALIAS",
            8,
            "<field><name>F</name><bitOffset>0</bitOffset><aliasOf/></field>",
        ),
    ];
    let text = block(2022, &inner.concat());
    assert_eq!(lines(&text, None), ["R 0x0 RW"]);
    assert_eq!(left_out(&text, "VIEW"), "it is another view of R");
    let why = "what it is stands elsewhere: it has a <registerDefinitionRef>";
    assert_eq!(left_out(&text, "TYPED"), why);
    assert_eq!(
        left_out(&text, "ALIAS"),
        "what it is stands elsewhere: it has a <aliasOf>"
    );
    let text = component(
        2022,
        "<addressBlock><name>B</name><baseAddress>0</baseAddress><addressBlockDefinitionRef typeDefinitions=\"t\">D</addressBlockDefinitionRef></addressBlock>",
    );
    assert_eq!(
        refused(&text),
        "3:1: what it is stands elsewhere: it has a <addressBlockDefinitionRef>"
    );
}

#[test]
fn a_reset_value_is_that_of_a_hard_reset_and_known_as_a_whole() {
    let of = |resets: &str| {
        block(
            2014,
            &register("R", 0, &field(&format!("<resets>{resets}</resets>"))),
        )
    };
    let soft = "<reset resetTypeRef=\"SOFT\"><value>1</value></reset>";
    for (resets, line) in [
        ("<reset><value>'h2a</value></reset>", "R 0x0 RW = 0x2a"),
        (
            &*format!("{soft}<reset resetTypeRef=\"HARD\"><value>2</value></reset>"),
            "R 0x0 RW = 0x2",
        ),
        (soft, "R 0x0 RW"),
        (
            "<reset><value>3</value><mask>8'hff</mask></reset>",
            "R 0x0 RW = 0x3",
        ),
        (
            "<reset><value>3</value><mask>'h0f</mask></reset>",
            "R 0x0 RW",
        ),
    ] {
        assert_eq!(lines(&of(resets), None), [line]);
    }
}

#[test]
fn a_number_that_has_no_value_has_a_place() {
    for (year, size, why) in [
        (
            2014,
            "WORDS * 32",
            "4:57: <size> is `WORDS * 32`: there is no parameter `WORDS`",
        ),
        (2022, "32 +", "4:57: <size> is `32 +`: a number is missing"),
        (
            2009,
            "0100",
            "4:57: <size> is `0100`: is it octal? Write it without the 0 before it",
        ),
        (
            2009,
            "thirty",
            "4:57: <size> is `thirty`: there is no parameter `thirty`",
        ),
    ] {
        let text = block(year, &register("R", 0, "")).replace("<size>32", &format!("<size>{size}"));
        assert_eq!(refused(&text), why);
    }
    // What is the same with both radices is no question.
    let text =
        block(2009, &register("R", 0, "")).replace("<addressOffset>0", "<addressOffset>00000004");
    assert_eq!(lines(&text, None), ["R 0x4 RW"]);
}
