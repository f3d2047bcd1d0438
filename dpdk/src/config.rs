//! Which backend a mempool has: what the application says, else the environment, else the model.

use std::ffi::{CStr, c_void};

use hwpool::address::{Address, AddressError, shown};
use hwpool::pool::Order;

/// The variable that names a backend for mempools that say nothing themselves.
pub(crate) const BACKEND: &str = "HWPOOL_BACKEND";
/// The variable that has mempools in software remember what is out.
pub(crate) const CHECKED: &str = "HWPOOL_CHECKED";
/// The variable that asks for a line of counters at exit.
pub(crate) const STATS: &str = "HWPOOL_STATS";

const DEFAULT: &str = "sim:bmu";

/// What keeps a mempool's free list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A list in software.
    Software(Order),
    /// A list in the first of these devices that has room for it, by their addresses, as they were given.
    Devices(Vec<String>),
}

/// Chooses by the mempool's configuration, a string or null, and by the environment.
///
/// # Errors
/// What is wrong with the text that decides.
///
/// # Safety
/// `config` is null or points to a string that ends with a zero.
pub(crate) unsafe fn choose(config: *const c_void) -> Result<Choice, String> {
    if !config.is_null() {
        // SAFETY: the caller's promise.
        let text = unsafe { CStr::from_ptr(config.cast()) };
        let text = text
            .to_str()
            .map_err(|_| "the mempool's configuration is no text".to_string())?;
        return parse(text).map_err(|error| format!("the mempool's configuration: {error}"));
    }
    match std::env::var(BACKEND) {
        Ok(text) if !text.is_empty() => parse(&text).map_err(|error| format!("{BACKEND}: {error}")),
        _ => parse(DEFAULT),
    }
}

fn parse(text: &str) -> Result<Choice, String> {
    match text {
        "ring" => Ok(Choice::Software(Order::Ring)),
        "stack" => Ok(Choice::Software(Order::Stack)),
        _ => addresses(text).map(Choice::Devices).map_err(|error| {
            format!(
                "`{}` is neither ring nor stack nor the address of a device, such as sim:bmu or vfio:0000:01:00.0, nor several with blanks between ({error})",
                shown(text)
            )
        }),
    }
}

/// Returns the addresses in a text, with blanks between. A word that is none goes on the one before: paths have blanks, too.
fn addresses(text: &str) -> Result<Vec<String>, AddressError> {
    let mut found: Vec<String> = Vec::new();
    for word in text.trim().split(' ') {
        match found.last_mut() {
            Some(path) if word.parse::<Address>().is_err() => *path = format!("{path} {word}"),
            _ => found.push(word.into()),
        }
    }
    for address in &mut found {
        address.truncate(address.trim_end().len());
        address.parse::<Address>()?;
    }
    Ok(found)
}

/// Tells whether a variable is set to something that does not mean no.
pub(crate) fn is_on(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_choices() {
        assert_eq!(parse("ring"), Ok(Choice::Software(Order::Ring)));
        let devices = |addresses: &[&str]| {
            Ok(Choice::Devices(
                addresses.iter().map(|&address| address.into()).collect(),
            ))
        };
        for (text, addresses) in [
            ("sim:bmu?seed=3", &["sim:bmu?seed=3"][..]),
            (
                " vfio:0000:01:00.0  user:/a ",
                &["vfio:0000:01:00.0", "user:/a"],
            ),
            (
                "user:/my dir/a:b  c sim:bmu",
                &["user:/my dir/a:b  c", "sim:bmu"],
            ),
            (
                "vfio:0000:01:00.0?token=secret",
                &["vfio:0000:01:00.0?token=secret"],
            ),
        ] {
            assert_eq!(parse(text), devices(addresses));
        }
        for wrong in ["", "rong", "vfoi:0000:01:00.0", "0000:01:00.0?token=secret"] {
            let told =
                |text: String| text.contains("neither ring nor stack") && !text.contains("secret");
            assert!(parse(wrong).is_err_and(told), "{wrong}");
        }
    }

    #[test]
    fn the_mempools_own_words_come_first() {
        // SAFETY: strings that end with a zero.
        let chosen = unsafe {
            [
                choose(c"stack".as_ptr().cast()),
                choose(c"nothing".as_ptr().cast()),
            ]
        };
        assert_eq!(chosen[0], Ok(Choice::Software(Order::Stack)));
        assert!(
            chosen[1]
                .as_ref()
                .is_err_and(|text| text.starts_with("the mempool's configuration"))
        );
    }
}
