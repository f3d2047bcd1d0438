//! Documents of `--json`, held against their schemas, which the book shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

/// Panics unless a document is of a kind that has a schema, and is as it says.
pub(crate) fn check(document: &Value) {
    let kind = document["schema"].as_str().expect("the document's kind");
    let schema = schemas().get(kind);
    let schema = schema.unwrap_or_else(|| panic!("{kind} has no schema in {}", folder().display()));
    let wrong: Vec<String> = schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{}\n{document:#}", wrong.join("\n"));
}

/// The schemas, by the kinds of their documents.
fn schemas() -> &'static BTreeMap<String, Validator> {
    static SCHEMAS: OnceLock<BTreeMap<String, Validator>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let files = fs::read_dir(folder()).expect("the folder of schemas");
        files
            .map(|file| {
                let path = file.expect("a file").path();
                let text = fs::read_to_string(&path).expect("text");
                let schema: Value = serde_json::from_str(&text).expect("JSON");
                let kind = schema["properties"]["schema"]["const"].as_str();
                let kind = kind.expect("the kind of document").to_owned();
                assert!(
                    path.ends_with(file_name(&kind)),
                    "{} is of {kind}",
                    path.display()
                );
                let validator = jsonschema::draft7::new(&schema).expect("a schema of draft 7");
                (kind, validator)
            })
            .collect()
    })
}

fn file_name(kind: &str) -> String {
    format!("{}.schema.json", kind.replace('/', "-"))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/src/schemas")
}
