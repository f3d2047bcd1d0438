//! Wrong texts, and what the reader says of each: the place, the key, what is there, what may be there, the nearest name.

use std::io;

use hwpool_describe::{DescribeError, TABLES, Wrong, check_text, parse};

use crate::generator::{self, Case};

const BASE: &str = include_str!("../everything.toml");

fn no_file(_: &str) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

/// Returns all that is wrong with a text.
fn wrong(text: &str) -> Vec<Wrong> {
    let errors = check_text(text, "t.toml", &no_file)
        .err()
        .unwrap_or_default();
    let wrong = |error| match error {
        DescribeError::Wrong(wrong) => wrong,
        other => panic!("{other}"),
    };
    errors.into_iter().map(wrong).collect()
}

#[test]
fn the_text_that_is_made_wrong_is_right() {
    assert_eq!(wrong(BASE), []);
}

/// Returns what is missed in what the reader says of a case; empty where nothing is.
fn missed(case: &Case) -> String {
    let found = wrong(&case.text);
    let [found] = &found[..] else {
        return format!("{}: {} mistakes: {found:#?}\n", case.name, found.len());
    };
    let place = Some((case.line, case.column));
    let said = case
        .says
        .iter()
        .all(|part| found.why.contains(part.as_str()));
    let begins = format!("t.toml:{}:{}: ", case.line, case.column);
    match said
        && found.place == place
        && found.key == case.key
        && found.to_string().starts_with(&begins)
    {
        true => String::new(),
        false => format!(
            "{}: wanted {place:?} `{}` {:?}\n  found {found}, `{}`\n",
            case.name, case.key, case.says, found.key
        ),
    }
}

/// Each key of the table, in each way in which it can be wrong by itself: a new key is one of them.
#[test]
fn each_key_that_is_wrong_is_named_with_its_place() {
    let cases = generator::cases();
    let keys: usize = TABLES.iter().map(|table| table.keys.len()).sum();
    assert!(cases.len() > 4 * keys, "{} cases", cases.len());
    let missed: Vec<String> = cases
        .iter()
        .map(missed)
        .filter(|text| !text.is_empty())
        .collect();
    assert!(
        missed.is_empty(),
        "{} of {}:\n{}",
        missed.len(),
        cases.len(),
        missed.concat()
    );
}

/// Each table that is missing, misspelt, twice, or none.
#[test]
fn each_table_that_is_wrong_is_named_with_its_place() {
    for table in TABLES.iter().filter(|table| !table.name.is_empty()) {
        let name = table.name;
        let header = format!("[{name}]\n");
        let begin = BASE.find(&header).unwrap_or_else(|| panic!("no {name}"));
        let rest = &BASE[begin + header.len()..];
        let length = rest.find("\n[").map_or(rest.len(), |at| at + 1);
        let without = format!("{}{}", &BASE[..begin], &rest[length..]);
        if table.must {
            let found = wrong(&without);
            let says = format!("`[{name}]` is missing: {}", table.doc);
            let found = found.iter().find(|wrong| wrong.why == says);
            let found = found.unwrap_or_else(|| panic!("{name} is not missed"));
            assert_eq!((found.place, found.key.as_str()), (Some((1, 1)), name));
        }
        let last = name.chars().next_back().unwrap_or('x');
        let misspelt = BASE.replace(&header, &format!("[{name}{last}]\n"));
        let found = wrong(&misspelt).remove(0);
        assert!(
            found
                .why
                .contains(&format!("`{name}{last}` is no key here"))
                && found.why.ends_with(&format!("(nearest: {name})")),
            "{found}"
        );
        let line = BASE[..begin].matches('\n').count() + 1;
        assert_eq!(found.place, Some((line, 2)), "{found}");
        let none = format!("{name} = 5\n{without}");
        let found = wrong(&none);
        let why = format!("`{name}` is no table: write [{name}] on a line of its own");
        let found = found.iter().find(|wrong| wrong.why == why);
        let found = found.unwrap_or_else(|| panic!("{name} = 5 is a table"));
        assert_eq!(found.place, Some((1, name.len() + 4)));
        let twice = format!("{BASE}\n[{name}]\n");
        let found = wrong(&twice).remove(0);
        assert!(found.why.contains("duplicate key"), "{name}: {found}");
    }
}

/// A change of the text that everything is in, where the mistake is said to stand, and what is said of it.
struct Change {
    from: &'static str,
    to: &'static str,
    at: &'static str,
    says: &'static [&'static str],
}

const fn change(
    from: &'static str,
    to: &'static str,
    at: &'static str,
    says: &'static [&'static str],
) -> Change {
    Change { from, to, at, says }
}

#[rustfmt::skip] // a table: one mistake, one line
const CHANGES: &[Change] = &[
    // Registers and their bits.
    change("THRESHOLD = 0x24", "THRESHOLD = 0x20", "THRESHOLD = 0x20", &["ERROR and THRESHOLD share a byte"]),
    change("THRESHOLD = 0x24", "THRESHOLD = 0x1000_0000", "0x4000", &["`at.size`", "THRESHOLD lies past the BAR's 0x4000 bytes"]),
    change("LENGTH = 0x1c", "LENGTH = 0x1d", "LENGTH = ", &["LENGTH lies at 0x11d, which is no multiple of its 4 bytes"]),
    change("LENGTH = 0x1c", "POP_LOW = 0x1c", "POP_LOW = ", &["there are two registers POP_LOW"]),
    change("LENGTH = 0x1c", "Length = 0x1c", "Length = ", &["`Length` is no key in `registers`, nor a register", "capitals"]),
    change("LENGTH = 0x1c", "LENGTH = { doc = \"x\" }", "LENGTH = ", &["`registers.LENGTH` has no place: write LENGTH = { at = 0x20 }"]),
    change("LENGTH = 0x1c", "LENGTH = 1.5", "1.5", &["`registers.LENGTH` is neither a place nor a table"]),
    change("LENGTH = 0x1c", "LENGTH = -4", "-4", &["`registers.LENGTH` is neither a place nor a table"]),
    change("LENGTH = 0x1c", "LENGTH = { at = 0x1c, fields = { BYTES = \"7:0\", bytes = 8 } }", "bytes = 8", &["`bytes` is no name of a field"]),
    change("READY = 18", "READY = 32", "STATUS = ", &["field READY of STATUS has bit 32, and STATUS has 32"]),
    change("READY = 18", "READY = 64", "64 } }", &["the bits of `READY` are 64", "write bits as \"23:0\""]),
    change("bits = \"30:0\"", "bits = \"40:0\"", "COUNT = ", &["`bits` of COUNT has more than its 32"]),
    change("reset = 0x1234", "reset = 0x1_0000_1234", "ID = ", &["`reset` of ID is 0x100001234, and ID has 32 bits"]),
    change("stride = 0x100", "stride = 0x20", "EVENT = ", &["EVENT and POP_HIGH share a byte"]),
    change("stride = 0x100", "stride = 0x102", "POP = ", &["`instances.stride` is 0x102, which is no multiple"]),
    change("size = 0x4000", "size = 0x200", "0x200", &["`at.size`", "lies past the BAR's 0x200 bytes"]),
    change("POP = { at = 0x8,", "POP = { at = 0x8, shared = true,", "\"POP\"", &["`pop.read`", "is shared: it can't tell the lists apart"]),
    // Names that mean nothing, or the wrong thing.
    change("alive = \"STATUS\"", "alive = \"LENGTH\"", "\"LENGTH\"", &["`alive`", "LENGTH may read all ones"]),
    change("alive = \"STATUS\"", "alive = \"COMMIT\"", "\"COMMIT\"", &["`alive`", "COMMIT may read all ones"]),
    change("alive = \"STATUS\"", "alive = \"POP\"", "\"POP\"", &["POP has 64 bits and passes in halves: name POP_LOW or POP_HIGH"]),
    change("scratch = \"SCRATCH\"", "scratch = \"COMMIT\"", "\"COMMIT\"", &["`scratch`", "a write of COMMIT does something"]),
    change("read = \"POP\"", "read = \"LENGTH\"", "\"high-first\"", &["`at.halves` says how 64 bits pass in two accesses, and LENGTH of 32 bits is popped in one"]),
    change("ids = [\"1234:f1f0\"", "ids = [\"1234:f1f\"", "\"1234:f1f\"", &["`1234:f1f` is no pair of ids"]),
    change("schema = \"hwpool.device/1\"", "schema = \"hwpool.device/2\"", "\"hwpool.device/2\"", &["write hwpool.device/1"]),
    change("name = \"all-keys\"", "name = \"All-Keys\"", "\"All-Keys\"", &["`name`", "small letters"]),
    // Choices that contradict each other.
    change("[pop]\n", "[pop]\nthen = { write = \"COMMIT\" }\n", "\"LENGTH.7:0\"", &["`pop.length`: `then` says it already: one of then, length alone"]),
    change("expect = 8\n", "", "\"LENGTH.7:0\"", &["`pop.length` needs `pop.expect`, which is missing"]),
    change("length = \"LENGTH.7:0\"\n", "", "8\n\n[push]", &["`pop.expect` needs `pop.length`, which is missing"]),
    change("clear = \"write-one\"\n", "", "\"EVENT.0\"", &["`interrupt.pending` needs `interrupt.clear`, which is missing"]),
    change("pending = \"EVENT.0\"\n", "", "\"write-one\"", &["`interrupt.clear` needs `interrupt.pending`, which is missing"]),
    change("[empty]\n", "[empty]\nlevel = true\n", "true\nflag", &["`empty.level`: `flag` says it already"]),
    change("flag = \"STATUS.EMPTY\"\nis = 1\n", "", "empty]", &["`empty` says nothing: write one of value, flag, level or bus-error"]),
    change("flag = \"STATUS.EMPTY\"\nis = 1\n", "level = false\n", "empty]", &["`empty` says nothing"]),
    change("flag = \"STATUS.EMPTY\"\nis = 1\n", "value = 0\nis = 1\n", "1\n\n[full]", &["`empty.is` needs `empty.flag`, which is missing"]),
    change("flag = \"STATUS.EMPTY\"\nis = 1", "flag = \"STATUS.EMPTY\"\nis = 2", "\"STATUS.EMPTY\"", &["`empty.flag`", "0x2 has more than the 1 bits"]),
    change("[full]\n", "[full]\nvacancy = \"COUNT\"\n", "\"COUNT\"\nflag", &["`full.vacancy`: `flag` says it already"]),
    change("flag = \"STATUS.FULL\"\nis = 1\n", "", "true\nsticky", &["`full.look`", "nothing is named that could be looked at"]),
    change("flag = \"STATUS.FULL\"\nis = 1\n", "level = true\nis = 1\n", "1\nlook", &["`full.is` needs `full.flag`, which is missing"]),
    change("sticky = \"ERROR.OVERFLOW\"", "sticky = \"STATUS.LEVEL\"", "\"STATUS.LEVEL\"\n\n[value]", &["`full.sticky` is one bit, not 15:0"]),
    change("shift = 6\n", "first = 1\n", "1\n\n[reset]", &["an index has a `first`, and `value.is` is address"]),
    change("is = \"address\"", "is = \"index\"", "6\n\n[reset]", &["an address has a `shift`, and `value.is` is index"]),
    change("bits = \"47:6\"\nshift = 6\n", "bits = \"63:6\"\nshift = 12\n", "12\n\n", &["`value.shift`", "no address of 16 to 64 bits"]),
    change("fill = \"software\"", "fill = \"reset\"", "\"reset\"", &["`fill`", "a reset can't fill in addresses"]),
    change("threshold = \"THRESHOLD.9:0\"\n", "", "interrupt]", &["`interrupt.threshold`", "the level that it waits for is not named"]),
    change("when = \"above\"", "when = \"filled\"", "\"THRESHOLD.9:0\"", &["`interrupt.threshold`", "only `below` and `above` have one"]),
    change("halves = \"high-first\"\n", "", "at]", &["`at.halves` is missing: the value has 64 bits and accesses have 32"]),
    change("expect = 8", "expect = 300", "300", &["`pop.expect`", "0x12c has more than the 8 bits"]),
    change("value = 0xa5", "value = 0x1_0000_0000", "[{ to = \"RESET\"", &["`reset.write`", "0x100000000 has more than the 32 bits of RESET"]),
    change("to = 2", "to = 4", "[{ bits = \"CONTROL.ENABLE\"", &["`enable`", "0x4 has more than the 2 bits"]),
    change("[registers]\n", "[registers]\nblock = \"a\"\n", "\"a\"", &["`registers.block` needs `registers.file`, which is missing"]),
    change("[registers]\n", "[registers]\nfile = \"no.json\"\n", "\"no.json\"", &["`registers.file`: no.json can't be read"]),
    // What is no TOML.
    change("schema = ", "<device>\nschema = ", "<device>", &["it begins with <, and a description is TOML"]),
    change("name = \"all-keys\"", "name = \"all-keys", "\ntitle", &["invalid basic string"]),
    change("name = \"all-keys\"", "name = all-keys", "all-keys", &[]),
    change("name = \"all-keys\"", "name \"all-keys\"", "\"all-keys\"", &[]),
];

/// Returns line and column of the place where `part` begins.
fn place(text: &str, part: &str) -> (usize, usize) {
    let at = text
        .find(part)
        .unwrap_or_else(|| panic!("no {part:?} in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    (line, at - text[..at].rfind('\n').map_or(0, |at| at + 1) + 1)
}

#[test]
fn what_can_t_be_is_refused_where_it_stands() {
    let mut missed = String::new();
    for Change { from, to, at, says } in CHANGES {
        assert!(BASE.contains(from), "{from:?}");
        let text = BASE.replacen(from, to, 1);
        let found = wrong(&text);
        let Some(first) = found.first() else {
            missed += &format!("{from:?} to {to:?} is taken\n");
            continue;
        };
        let wanted = place(&text, at);
        if found.len() != 1
            || first.place != Some(wanted)
            || !says.iter().all(|part| first.why.contains(part))
        {
            let found: Vec<String> = found.iter().map(Wrong::to_string).collect();
            missed += &format!("{from:?} to {to:?}: wanted {wanted:?} {says:?}, found {found:?}\n");
        }
    }
    assert!(missed.is_empty(), "{missed}");
}

/// Whoever corrects a file wants to know all that is wrong with it, and who only uses it the first.
#[test]
fn all_mistakes_of_the_parts_are_told_in_order() {
    let text = BASE.replace("order = \"any\"", "order = \"fifi\"");
    let text = text.replace("read = \"POP\"", "read = \"PAP\"");
    let text = text.replace("within-ms = 20", "within-ms = 0");
    let text = text.replace("when = \"above\"\n", "");
    let found = wrong(&text);
    let keys: Vec<&str> = found.iter().map(|wrong| wrong.key.as_str()).collect();
    assert_eq!(
        keys,
        ["order", "pop.read", "reset.within-ms", "interrupt.when"]
    );
    let first = parse(&text, "t.toml", &no_file).unwrap_err().to_string();
    assert_eq!(first, found[0].to_string());
}

/// A question hides what else is wrong: the answer may change it.
#[test]
fn open_questions_are_told_alone_and_with_what_may_be_written() {
    let text = BASE.replace("order = \"any\"", "order = \"?\"");
    let text = text.replace("to = 2 }", "to = \"?\" }");
    let text = text.replace("shift = 6", "shift = \"?\"");
    let text = text.replace("at = 0x40c, access = \"w1c\"", "at = 0x40c, access = \"?\"");
    let text = text.replace("read = \"POP\"", "read = \"PAP\"");
    let found = wrong(&text);
    let keys: Vec<&str> = found.iter().map(|wrong| wrong.key.as_str()).collect();
    assert_eq!(
        keys,
        ["order", "enable.to", "registers.ECC.access", "value.shift"]
    );
    assert_eq!(
        found[0].why,
        "`order` is an open question: In which order values leave a list. Write fifo, lifo or any, as in order = \"fifo\"; left \
         out it is: `fifo`"
    );
    assert_eq!(found[0].place, Some(place(&text, "\"?\"")));
}
