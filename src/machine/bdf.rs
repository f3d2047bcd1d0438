//! The address of a PCI function.

use std::fmt;
use std::str::FromStr;

/// The address of a PCI function: domain, bus, device, function.
///
/// ```
/// use hwpool::machine::Bdf;
///
/// let bdf: Bdf = "0000:01:00.0".parse()?;
/// assert_eq!(bdf.to_string(), "0000:01:00.0");
/// assert!("1:0.0".parse::<Bdf>().is_err());
/// # Ok::<(), hwpool::machine::NotAnAddress>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bdf {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// Names a function as the bus does: `devfn` holds device and function.
    pub(crate) fn of_bus(domain: u16, bus: u8, devfn: u8) -> Bdf {
        Bdf {
            domain: domain.into(),
            bus,
            device: devfn >> 3,
            function: devfn & 7,
        }
    }

    /// Tells whether both are on the same bus.
    pub(crate) fn shares_bus(self, other: Bdf) -> bool {
        (self.domain, self.bus) == (other.domain, other.bus)
    }

    /// Tells whether both are functions of the same device, which is to say of the same board.
    pub(crate) fn shares_device(self, other: Bdf) -> bool {
        self.shares_bus(other) && self.device == other.device
    }
}

impl FromStr for Bdf {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Bdf, NotAnAddress> {
        parse(text).ok_or_else(|| NotAnAddress { text: text.into() })
    }
}

/// Reads `DDDD:BB:DD.F`, all digits hexadecimal and none left out: a short form could mean two functions.
fn parse(text: &str) -> Option<Bdf> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let (device, function) = (hex(device, 2)?, hex(function, 1)?);
    // A domain of Intel's VMD has more than four digits.
    let digits = domain.len().clamp(4, 8);
    (device < 32 && function < 8).then_some(Bdf {
        domain: hex(domain, digits)?,
        bus: hex(bus, 2)? as u8,
        device: device as u8,
        function: function as u8,
    })
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let good = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| good)
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bdf {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bdf({self})")
    }
}

/// Returns the function's directory in sysfs.
pub(crate) fn directory(bdf: Bdf) -> String {
    format!("/sys/bus/pci/devices/{bdf}")
}

/// Why a text is not the address of a PCI function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a PCI address: {}", self.advice())]
#[non_exhaustive]
pub struct NotAnAddress {
    /// The text.
    pub text: String,
}

impl NotAnAddress {
    fn advice(&self) -> String {
        match parse(&format!("0000:{}", self.text)) {
            Some(full) => {
                format!("its domain is missing: write {full} if you mean that one (`lspci -D`)")
            }
            None => {
                "write DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal, as in 0000:01:00.0 (`lspci -D`)"
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_full_or_not_at_all() {
        for good in ["0000:01:00.0", "ffff:ff:1f.7", "10000:e1:00.0"] {
            assert_eq!(good.parse::<Bdf>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "01:00.0",
            "0000:1:00.0",
            "0000:01:20.0",
            "0000:01:00.8",
            "0000:01:00",
            "0000:01:00.+1",
            "000:01:00.0",
            "+000:01:00.0",
            "123456789:01:00.0",
            "0000:01:00.0 ",
            "../../../etc",
        ] {
            assert!(bad.parse::<Bdf>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neighbours_are_told_by_bus_and_device() {
        let bdf = |text: &str| text.parse::<Bdf>().unwrap();
        let board = bdf("0000:01:00.0");
        assert!(board.shares_device(bdf("0000:01:00.7")));
        assert!(!board.shares_device(bdf("0000:01:01.0")));
        assert!(board.shares_bus(bdf("0000:01:01.0")));
        assert!(!board.shares_bus(bdf("0001:01:00.0")));
    }
}
