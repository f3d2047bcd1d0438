//! Lies: rules of its specification that a device breaks from power-up on, each by name.
//!
//! A fault strikes at an occurrence; a lie is how the device is made. Those of any PCI function are here, those of a kind of
//! device in `lies.rs` of its folder. `MUSTS.md` beside the specification says which check finds which.

use crate::parameter::{ConfigError, Text};

/// A rule that can be broken.
pub(crate) trait Rule {
    /// Its number among those of one device.
    fn number(self) -> u8;
}

/// The number of the first lie of a kind's own.
pub(crate) const OWN: u8 = 32;

/// Makes the enum `Lie`, a rule each, numbered from `first` on, and the list of their names with what each does.
macro_rules! lies {
    ($first:expr; $($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// A rule that the device breaks.
        #[derive(Debug, Copy, Clone, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Lie {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Lie {
            /// Every lie, by the name that the option `lies` uses, and what it does.
            pub(crate) const ALL: &[(&str, &str)] = &[$(($text, concat!($($doc),+).trim_ascii())),+];
        }

        impl $crate::lies::Rule for Lie {
            #[inline]
            fn number(self) -> u8 {
                $first + self as u8
            }
        }
    };
}
pub(crate) use lies;

lies! {
    0;
    /// The header is of type 1, a bridge's.
    BridgeHeader = "bridge-header";
    /// The function offers no function level reset.
    NoFlr = "no-flr";
    /// There is no PCI Express capability.
    NoExpress = "no-pci-express";
    /// There is no Advanced Error Reporting.
    NoAer = "no-aer";
    /// There is no MSI-X capability.
    NoMsix = "no-msix";
    /// The MSI-X table lies past the end of its BAR.
    MsixOutside = "msix-outside";
    /// The MSI-X table lies at another place of its BAR.
    MsixElsewhere = "msix-elsewhere";
    /// The MSI-X table has a vector more than the device.
    VectorMore = "vector-more";
    /// The MSI-X table has 2048 vectors.
    ManyVectors = "many-vectors";
    /// The list of capabilities runs in a circle.
    CapabilityLoop = "capability-loop";
    /// The function says that it has a legacy interrupt.
    InterruptPin = "interrupt-pin";
    /// The last BAR of registers is prefetchable.
    Prefetchable = "prefetchable";
    /// BAR 0 has 2^60 bytes.
    HugeBar = "huge-bar";
}

/// What a device lies about.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lies(u128);

impl Lies {
    /// Reads names with `+` between them; `own` are the lies of the kind of device.
    pub(crate) fn parse(text: Text<'_>, own: &[(&str, &str)]) -> Result<Lies, ConfigError> {
        let numbered = |all: &[(&str, &str)], name: &str, first: u8| {
            let at = all.iter().position(|(known, _)| *known == name);
            at.map(|at| usize::from(first) + at)
        };
        let names = text.value.split('+');
        let mut bits = names.map(|name| {
            let number = numbered(Lie::ALL, name, 0).or_else(|| numbered(own, name, OWN));
            number.map(|n| 1u128 << n).ok_or_else(|| unknown(name, own))
        });
        bits.try_fold(0, |all, bit| Ok(all | bit?)).map(Lies)
    }

    /// Tells whether there are none: a device that is true asks no further.
    #[inline]
    pub(crate) fn are_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn tell(self, lie: impl Rule) -> bool {
        self.0 >> lie.number() & 1 != 0
    }
}

#[cold]
fn unknown(name: &str, own: &[(&str, &str)]) -> ConfigError {
    let known = Lie::ALL.iter().chain(own).map(|(name, _)| *name);
    ConfigError::UnknownLie {
        name: name.into(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MODELS, SimConfig};

    const OF_ONE: &[(&str, &str)] = &[("first", ""), ("second", "")];

    fn parse(value: &str) -> Result<Lies, ConfigError> {
        Lies::parse(Text { key: "lies", value }, OF_ONE)
    }

    #[test]
    fn lies_are_told_by_name() {
        let lies = parse("no-aer+second").unwrap();
        assert!(lies.tell(Lie::NoAer) && !lies.tell(Lie::NoFlr));
        assert_eq!(lies.0 >> OWN, 2);
        let text = parse("no-aer+no-air").unwrap_err().to_string();
        assert!(
            text.contains("`no-air`") && text.contains("no-aer, no-msix"),
            "{text}"
        );
        assert!(text.ends_with("first, second"), "{text}");
        assert!(parse("").is_err());
    }

    #[test]
    fn no_two_lies_of_a_device_share_a_name_or_a_number() {
        assert!(Lie::ALL.len() <= OWN.into());
        for model in MODELS {
            assert!(model.lies.len() <= 128 - usize::from(OWN), "{}", model.name);
            let all: Vec<_> = SimConfig::LIES.iter().chain(model.lies).collect();
            let mut names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all.len(), "{}", model.name);
        }
    }
}
