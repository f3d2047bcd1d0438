//! Lines that a page shows, against lines that were printed.

/// Tells whether a line is as the page has it.
pub(crate) fn is_line(said: &str, line: &str) -> bool {
    let mut parts = said.trim_end().split("...");
    let line = line.trim_end();
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

/// Tells whether lines are as the page has them, where a line `...` is any number of them.
pub(crate) fn are_lines(said: &[&str], lines: &[&str]) -> bool {
    match (said, lines) {
        ([], lines) => lines.is_empty(),
        (["...", said @ ..], lines) => {
            (0..=lines.len()).any(|skip| are_lines(said, &lines[skip..]))
        }
        ([_, ..], []) => false,
        ([first, said @ ..], [line, lines @ ..]) => is_line(first, line) && are_lines(said, lines),
    }
}

/// What compares must be able to fail.
#[test]
fn lines_are_compared() {
    assert!(is_line("a ... c", "a b c") && is_line("a ...", "a b c") && is_line("a", "a  "));
    assert!(!is_line("a ... c", "a b c d") && !is_line("a", "a b") && !is_line("b", "a b"));
    assert!(are_lines(&["...", "b", "..."], &["a", "b", "c"]) && are_lines(&["a", "..."], &["a"]));
    assert!(!are_lines(&["a"], &["a", "b"]) && !are_lines(&["...", "d"], &["a", "b"]));
    assert!(!are_lines(&["a", "b"], &["a"]));
}
