//! Addresses of devices: one string for the library, the command line, scripts and plugins.
//!
//! ```
//! use hwpool::address::{Address, TransportKind};
//!
//! let address: Address = "sim:bmu?seed=7".parse()?;
//! assert_eq!((address.transport, address.target.as_str()), (TransportKind::Sim, "bmu"));
//! assert_eq!(address.option("seed"), Some("7"));
//! # Ok::<(), hwpool::address::AddressError>(())
//! ```
//!
//! ```text
//! sim:bmu?seed=7&faults=FILE     a model in this process
//! user:/run/bmu.sock             a vfio-user socket (?timeout-ms=N: how long its server may take to answer;
//!                                dma=messages: memory without files, so that the server has to ask for it)
//! vfio:0000:01:00.0              a PCI function bound to vfio-pci
//! ```
//!
//! `?driver=NAME` on any of them names the driver, where hwpool would not recognise the device; `?driver=none` keeps
//! hwpool from reading any register to find out.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::machine::Bdf;

/// The option whose value nobody shall read in a log, an error or a document.
const SECRET: &str = "token=";
/// What is shown in its place.
pub(crate) const HIDDEN: &str = "(hidden)";

/// How a device is reached, with the options behind the question mark in the order in which they were given.
///
/// It is displayed as it was given, but for a VF token, which is a secret: what is displayed opens the device only
/// where it has none.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// For people, without secrets.
    shown: String,
    /// What stands before the colon.
    pub transport: TransportKind,
    /// What stands between the colon and the question mark: a model, a path or a PCI address.
    pub target: String,
    /// The `key=value` pairs behind the question mark.
    pub options: Vec<(String, String)>,
}

/// The transports that an address can name.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum TransportKind {
    /// `sim:` a model in this process.
    Sim,
    /// `user:` a vfio-user socket.
    User,
    /// `vfio:` the kernel's VFIO.
    Vfio,
}

/// Why a text is not the address of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no colon, or nothing behind it.
    #[error(
        "`{text}` is not a device address: write sim:MODEL, user:SOCKET or vfio:DOMAIN:BUS:DEVICE.FUNCTION"
    )]
    Shape {
        /// The text.
        text: String,
    },
    /// It names a function of the bus without the way to it.
    #[error("`{text}` is the address of a PCI function: as a device it is vfio:{function}")]
    Bare {
        /// The text.
        text: String,
        /// The function.
        function: Bdf,
    },
    /// It names a file that describes a device, without the way to one.
    #[error(
        "`{text}` is a file that describes a device: its model is sim:{text}, and a device that it drives is \
         vfio:FUNCTION?driver={text}"
    )]
    Description {
        /// The text.
        text: String,
    },
    /// It names a file without the way to a device.
    #[error(
        "`{text}` is a path: where it is the socket of a vfio-user server, the device is user:{text}"
    )]
    Path {
        /// The text.
        text: String,
    },
    /// What stands before the colon is no transport.
    #[error("`{transport}` in `{text}` is not a transport: known are sim, user and vfio")]
    Transport {
        /// The text.
        text: String,
        /// What stands before the colon.
        transport: String,
    },
    /// A part behind the question mark is no pair.
    #[error("`{part}` in `{text}` is not an option: write ?KEY=VALUE&KEY=VALUE")]
    Option {
        /// The text.
        text: String,
        /// The part.
        part: String,
    },
    /// A key is given twice.
    #[error("option `{key}` is given twice in `{text}`")]
    Twice {
        /// The text.
        text: String,
        /// The key.
        key: String,
    },
}

impl Address {
    /// Returns the value of an option.
    pub fn option(&self, key: &str) -> Option<&str> {
        let found = self.options.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Takes an option out of those behind the question mark; what is displayed stays.
    pub(crate) fn take_option(&mut self, key: &str) -> Option<String> {
        let place = self.options.iter().position(|(known, _)| known == key)?;
        Some(self.options.remove(place).1)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let shown = || shown(text).into_owned();
        let shape = || AddressError::Shape { text: shown() };
        let parts = text.split_once(':').ok_or_else(|| no_colon(shown()));
        let (transport, rest) = parts?;
        let transport = match transport {
            "sim" => TransportKind::Sim,
            "user" => TransportKind::User,
            "vfio" => TransportKind::Vfio,
            _ => return Err(no_transport(text, transport)),
        };
        let (target, query) = rest
            .split_once('?')
            .map_or((rest, None), |(t, q)| (t, Some(q)));
        if target.is_empty() {
            return Err(shape());
        }
        let options = query.map_or(Ok(Vec::new()), |query| parse_options(text, query))?;
        Ok(Address {
            shown: shown(),
            transport,
            target: target.into(),
            options,
        })
    }
}

/// A file's name is the mistake of who has a description or a socket, and knows no address yet.
fn no_colon(text: String) -> AddressError {
    match text.ends_with(".toml") {
        true => AddressError::Description { text },
        false if text.contains('/') => AddressError::Path { text },
        false => AddressError::Shape { text },
    }
}

/// A function as `lspci` writes it is a mistake of its own, with its domain or without.
fn no_transport(text: &str, transport: &str) -> AddressError {
    let name = text.split('?').next().unwrap_or_default();
    let function = name.parse().or_else(|_| format!("0000:{name}").parse());
    match function {
        Ok(function) => AddressError::Bare {
            text: shown(text).into(),
            function,
        },
        Err(_) => AddressError::Transport {
            text: shown(text).into(),
            transport: transport.into(),
        },
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Returns the text of an address, or of what shall be one, as people may see it: without the value of a VF token.
///
/// ```
/// use hwpool::address::shown;
///
/// assert_eq!(shown("vfio:0000:01:00.0?token=14d63f20&fd=7"), "vfio:0000:01:00.0?token=(hidden)&fd=7");
/// assert_eq!(shown("sim:bmu?seed=7"), "sim:bmu?seed=7");
/// ```
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(SECRET) {
        return text.into();
    }
    let hide = |part: &str| match part.split_once(SECRET) {
        // Only behind a separator: a socket may be called `token=`.
        Some((before, _)) if before.is_empty() || before.ends_with('?') => {
            format!("{before}{SECRET}{HIDDEN}")
        }
        _ => part.into(),
    };
    let parts: Vec<String> = text.split('&').map(hide).collect();
    parts.join("&").into()
}

fn parse_options(text: &str, query: &str) -> Result<Vec<(String, String)>, AddressError> {
    let mut options: Vec<(String, String)> = Vec::new();
    for part in query.split('&') {
        let pair = part.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or_else(|| AddressError::Option {
            text: shown(text).into_owned(),
            part: part.into(),
        })?;
        if options.iter().any(|(known, _)| known == key) {
            return Err(AddressError::Twice {
                text: shown(text).into_owned(),
                key: key.into(),
            });
        }
        options.push((key.into(), value.into()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn addresses_are_taken_apart() {
        let address = parse("sim:bmu?seed=7&faults=a:b.toml").unwrap();
        assert_eq!(
            (address.transport, address.target.as_str()),
            (TransportKind::Sim, "bmu")
        );
        let expected = [("seed", "7"), ("faults", "a:b.toml")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(address.options, expected);
        assert_eq!(parse("vfio:0000:01:00.0").unwrap().target, "0000:01:00.0");
        assert_eq!(
            parse("user:/run/x.sock").unwrap().transport,
            TransportKind::User
        );
        assert_eq!(address.to_string(), "sim:bmu?seed=7&faults=a:b.toml");
    }

    #[test]
    fn a_token_is_kept_and_not_shown() {
        const TOKEN: &str = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
        let text = format!("vfio:0000:01:00.0?token={TOKEN}&noiommu=1");
        let address = parse(&text).unwrap();
        assert_eq!(address.options[0].1, TOKEN);
        let shown = "vfio:0000:01:00.0?token=(hidden)&noiommu=1";
        assert_eq!(address.to_string(), shown);
        for bad in [
            format!("pci:0?token={TOKEN}"),
            format!("vfio:?token={TOKEN}"),
            format!("vfio:a?token={TOKEN}&b"),
            format!("vfio:a?b=1&token={TOKEN}&b=2"),
            format!("0000:01:00.0&token={TOKEN}"),
        ] {
            let error = parse(&bad).unwrap_err();
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(!said.contains(TOKEN) && said.contains("(hidden)"), "{said}");
            }
        }
        assert!(!format!("{address:?}").contains(TOKEN));
        assert_eq!(
            super::shown("user:/run/token=1.sock"),
            "user:/run/token=1.sock"
        );
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        assert!(matches!(parse(""), Err(AddressError::Shape { .. })));
        assert!(matches!(parse("bmu"), Err(AddressError::Shape { .. })));
        assert!(matches!(parse("sim:"), Err(AddressError::Shape { .. })));
        let told = |text| parse(text).unwrap_err().to_string();
        assert!(told("boards/mine.toml").contains("sim:boards/mine.toml,"));
        assert!(told("/run/bmu.sock").contains("user:/run/bmu.sock"));
        assert!(matches!(parse("sim:?a=1"), Err(AddressError::Shape { .. })));
        assert!(matches!(
            parse("pci:0"),
            Err(AddressError::Transport { .. })
        ));
        assert!(matches!(
            parse("sim:bmu?"),
            Err(AddressError::Option { .. })
        ));
        assert!(matches!(
            parse("sim:bmu?seed"),
            Err(AddressError::Option { .. })
        ));
        assert!(matches!(
            parse("sim:bmu?=1"),
            Err(AddressError::Option { .. })
        ));
        assert!(matches!(
            parse("sim:bmu?a=1&a=2"),
            Err(AddressError::Twice { .. })
        ));
    }
}
