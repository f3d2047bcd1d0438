//! Which backend a mempool has: what the application says, else the environment, else the model.

use std::ffi::{CStr, c_void};

use hwpool::address::Address;
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
    /// A device, by address.
    Device(String),
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
        _ => match text.parse::<Address>() {
            Ok(address) => Ok(Choice::Device(address.to_string())),
            Err(error) => Err(format!(
                "`{text}` is neither ring nor stack nor the address of a device, such as sim:bmu or vfio:0000:01:00.0 ({error})"
            )),
        },
    }
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
        assert_eq!(
            parse("sim:bmu?seed=3"),
            Ok(Choice::Device("sim:bmu?seed=3".into()))
        );
        for wrong in ["", "rong", "vfoi:0000:01:00.0"] {
            assert!(
                parse(wrong).is_err_and(|text| text.contains("neither ring nor stack")),
                "{wrong}"
            );
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
