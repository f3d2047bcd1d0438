//! What documents of this verb have in common.

use hwpool::describe::DescribeError;
use serde_json::{Value, json};

/// Their schema.
pub(super) const SCHEMA: &str = "hwpool.describe/1";

/// Returns an error with what it comes from.
pub(super) fn chain(error: &DescribeError) -> String {
    match error {
        DescribeError::Unreadable { source, .. } => format!("{error}: {source}"),
        DescribeError::Wrong(_) => error.to_string(),
    }
}

/// Returns a mistake as programs read it; line and column are null where there is no place.
pub(super) fn mistake(error: &DescribeError) -> Value {
    let (line, column) = error.place().unzip();
    let (file, key, message) = match error {
        DescribeError::Unreadable { file, .. } => (file, "", chain(error)),
        DescribeError::Wrong(wrong) => (&wrong.file, wrong.key.as_str(), wrong.why.clone()),
    };
    json!({ "file": file, "line": line, "column": column, "key": key, "message": message })
}
