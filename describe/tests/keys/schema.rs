//! The JSON schema: made of the table of keys, held in the tree, and tried on descriptions that are right and wrong.

use std::fs;
use std::path::PathBuf;

use hwpool_describe::{
    Absent, JSON_SCHEMA, Key, Kind, Named, REGISTER, SCHEMA, TABLES, Table, Ways, draft,
};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{generator, held, here, is_blessed};

#[test]
fn the_schema_is_that_of_the_keys() {
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    held("hwpool.device-1.schema.json", &text);
    // This program was built with what was there before.
    if !is_blessed() {
        assert_eq!(JSON_SCHEMA, text);
    }
}

/// A register's or a field's name.
const NAME: &str = "[A-Z_][A-Z0-9_]{0,63}";
/// A bit's number.
const BIT: &str = "0*([0-9]|[1-5][0-9]|6[0-3])";

fn schema() -> Value {
    let (root, tables) = TABLES.split_first().expect("tables");
    let mut schema = object(root);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(format!("A free list of a device ({SCHEMA})"));
    for table in tables {
        schema["properties"][table.name] = object(table);
        if table.must {
            let required = schema["required"].as_array_mut().expect("a list");
            required.push(json!(table.name));
        }
    }
    schema["properties"]["registers"]["patternProperties"] = json!({
        format!("^{NAME}$"): { "anyOf": [number(0, u32::MAX.into()), part(REGISTER)],
                               "description": "A register: its place, or more in braces." }
    });
    // Whatever other crates have asked of serde_json.
    schema.sort_all_objects();
    schema
}

/// A table: its keys, those that it needs, and which go together.
fn object(table: &Table) -> Value {
    let mut object = part(table.keys);
    object["description"] = json!(table.doc);
    if !table.needs.is_empty() {
        let needs = table.needs.iter();
        let needs: Map<_, _> = needs
            .map(|(key, other)| (key.to_string(), json!([other])))
            .collect();
        object["dependencies"] = needs.into();
    }
    let said = |name: &&str| {
        let key = table.keys.iter().find(|key| key.name == *name);
        match key.expect("a key").kind {
            // `false` says nothing.
            Kind::Bool => json!({ "required": [name], "properties": { *name: { "const": true } } }),
            _ => json!({ "required": [name] }),
        }
    };
    let said: Vec<Value> = table.ways.keys().iter().map(said).collect();
    match table.ways {
        Ways::None => {}
        Ways::One(_) => object["oneOf"] = said.into(),
        Ways::AtMostOne(_) => {
            let pairs = (0..said.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
            let not =
                pairs.map(|(one, other)| json!({ "not": { "allOf": [said[one], said[other]] } }));
            object["allOf"] = not.collect();
        }
    }
    object
}

/// A table in braces.
fn part(keys: &[Key]) -> Value {
    let properties: Map<_, _> = keys
        .iter()
        .map(|key| (key.name.to_string(), entry(key)))
        .collect();
    let required = keys
        .iter()
        .filter(|key| matches!(key.absent, Absent::Refused));
    let required: Vec<&str> = required.map(|key| key.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn entry(key: &Key) -> Value {
    let mut entry = value(&key.kind);
    let absent = match key.absent {
        Absent::Refused => "It is needed.".into(),
        Absent::Means(what) => format!("Left out: {what}."),
    };
    entry["description"] = json!(format!("{} {absent}", key.doc));
    entry["examples"] = json!([example(key)]);
    entry
}

/// What may stand behind a key.
fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Schema => json!({ "const": SCHEMA }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Name => pattern("[a-z][a-z0-9-]{0,31}"),
        Kind::Number { least, most } => number(*least, *most),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Word(words) => word(words),
        Kind::OneOf(numbers) => json!({ "enum": numbers }),
        Kind::Register => pattern(NAME),
        Kind::Registers => json!({ "type": "array", "items": pattern(NAME) }),
        Kind::Bits => bits(),
        Kind::NumberOrBits { least, most } => json!({ "anyOf": [number(*least, *most), bits()] }),
        Kind::Run => run(),
        Kind::Ids => {
            json!({ "type": "array", "items": pattern("[0-9a-fA-F]{4}:[0-9a-fA-F]{4}") })
        }
        Kind::Fields => {
            json!({ "type": "object", "patternProperties": { format!("^{NAME}$"): run() },
                                "additionalProperties": false })
        }
        Kind::Part(keys) => part(keys),
        Kind::Parts(keys) => json!({ "type": "array", "items": part(keys) }),
    }
}

fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{pattern}$") })
}

fn number(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn run() -> Value {
    json!({ "anyOf": [number(0, 63), pattern(&format!("{BIT}(:{BIT})?"))] })
}

fn bits() -> Value {
    pattern(&format!(r"{NAME}(\.({NAME}|{BIT}(:{BIT})?))?"))
}

/// One of a few words, with what each says where editors show that.
fn word(words: &[Named]) -> Value {
    let of = |what: fn(&Named) -> &'static str| words.iter().map(what).collect::<Vec<_>>();
    json!({ "enum": of(|word| word.name), "x-taplo": { "docs": { "enumValues": of(|word| word.doc) } } })
}

/// The example of a key, as JSON.
fn example(key: &Key) -> Value {
    let line = format!("example = {}", key.example);
    let table: Map<String, Value> =
        toml::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    table["example"].clone()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("it is a schema")
}

fn as_json(text: &str) -> Value {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns where the schema refuses a text.
fn refused(text: &str) -> Vec<String> {
    let json = as_json(text);
    let validator = validator();
    let errors = validator.iter_errors(&json);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn descriptions() -> Vec<PathBuf> {
    let folders = ["devices", "../tests/data/described"].map(here);
    let files = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .map(|file| file.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect()
}

#[test]
fn the_schema_takes_every_description_that_is_shipped() {
    let files = descriptions();
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(refused(&text), Vec::<String>::new(), "{}", path.display());
    }
}

/// What is wrong by itself is wrong for an editor, too.
#[test]
fn the_schema_refuses_what_a_schema_can_tell() {
    let validator = validator();
    let mut count = 0;
    for case in generator::cases() {
        if !case.is_told_by_schema {
            continue;
        }
        let json = as_json(&case.text);
        assert!(!validator.is_valid(&json), "{} is taken", case.name);
        count += 1;
    }
    assert!(count > 200, "{count} were tried");
}

/// Keys that exclude or need each other.
#[test]
fn the_schema_refuses_keys_that_do_not_go_together() {
    let text = include_str!("../everything.toml");
    assert_eq!(refused(text), Vec::<String>::new());
    for (from, to) in [
        ("[pop]\n", "[pop]\nthen = { write = \"COMMIT\" }\n"),
        ("expect = 8\n", ""),
        ("pending = \"EVENT.0\"\n", ""),
        ("clear = \"write-one\"\n", ""),
        ("[empty]\n", "[empty]\nlevel = true\n"),
        ("flag = \"STATUS.EMPTY\"\nis = 1\n", ""),
        ("flag = \"STATUS.EMPTY\"\nis = 1\n", "level = false\n"),
        ("flag = \"STATUS.EMPTY\"\nis = 1\n", "value = 0\nis = 1\n"),
        ("[full]\n", "[full]\nvacancy = \"COUNT\"\n"),
        ("[registers]\n", "[registers]\nblock = \"a\"\n"),
        ("[registers]\n", "[registers]\nsmall = 0x20\n"),
    ] {
        assert!(text.contains(from), "{from:?}");
        let wrong = text.replacen(from, to, 1);
        assert_ne!(refused(&wrong), Vec::<String>::new(), "{from:?} to {to:?}");
    }
    let said_by_two = text.replacen("[empty]\n", "[empty]\nlevel = false\n", 1);
    assert_eq!(
        refused(&said_by_two),
        Vec::<String>::new(),
        "`false` says nothing"
    );
}

/// An editor marks each question of a first description, and nothing else.
#[test]
fn the_schema_refuses_a_first_description_at_its_questions() {
    for (file, block) in [
        ("devices/litex/csr.json", Some("buffers")),
        ("devices/litex/soc.svd", None),
        ("devices/rdl/small-fifo.xml", None),
    ] {
        let registers = fs::read_to_string(here(file)).expect("text");
        let first = draft(&registers, file, block).unwrap_or_else(|error| panic!("{error}"));
        let open = |_: &str| Ok(registers.clone());
        let open = hwpool_describe::check_text(&first.text, "first.toml", &open);
        let open = open.expect_err("questions are open");
        let refused = refused(&first.text);
        assert_eq!(refused.len(), open.len(), "{refused:#?} {open:#?}");
        assert!(
            refused.iter().all(|error| error.contains('?')),
            "{refused:#?}"
        );
    }
}
