//! What stands behind the question mark of a `vfio:` address.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::str::FromStr;

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::error::OptionError;
use super::sys;
use crate::address::HIDDEN;

/// The way into the kernel's VFIO.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Backend {
    /// The function's IOMMU group in a container of type1v2.
    Group,
    /// iommufd, and the function's own character device.
    Cdev,
}

/// How to open a function.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The way in; `None` takes [`Backend::Cdev`] where this process may open its nodes, else [`Backend::Group`].
    pub backend: Option<Backend>,
    /// The caller accepts a device that reaches all memory, where there is no IOMMU. It has no effect where there is
    /// one.
    pub noiommu: bool,
    /// Takes the place of opening the function's file: its group (`/dev/vfio/GROUP`) or its character device
    /// (`/dev/vfio/devices/vfioN`).
    pub fd: Option<Descriptor>,
    /// Takes the place of opening `/dev/vfio/vfio` or `/dev/iommu`. Several functions may share one: each takes a
    /// duplicate.
    pub iommu: Option<Descriptor>,
    /// The secret that a physical function and its virtual functions share.
    pub token: Option<VfToken>,
}

impl Options {
    /// Reads `backend=group|cdev`, `noiommu=0|1`, `fd=N`, `iommu=N` and `token=UUID`.
    ///
    /// # Errors
    ///
    /// [`OptionError`] names the option or the value that is not known.
    pub fn parse(pairs: &[(String, String)]) -> Result<Options, OptionError> {
        let mut options = Options::default();
        for (key, value) in pairs {
            if !options.set(key, value)? {
                // What is almost a token tells almost all of it.
                let value = if key == "token" { HIDDEN } else { value };
                let (key, value) = (key.clone(), value.into());
                return Err(OptionError::Value { key, value });
            }
        }
        Ok(options)
    }

    /// Takes one option; `false` where it can't have that value.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, OptionError> {
        match key {
            "backend" => {
                self.backend = match value {
                    "group" => Some(Backend::Group),
                    "cdev" => Some(Backend::Cdev),
                    _ => return Ok(false),
                };
            }
            "noiommu" => match value {
                "0" | "1" => self.noiommu = value == "1",
                _ => return Ok(false),
            },
            "fd" => self.fd = descriptor(value),
            "iommu" => self.iommu = descriptor(value),
            "token" => self.token = value.parse().ok(),
            _ => return Err(OptionError::Unknown { key: key.into() }),
        }
        Ok(match key {
            "fd" => self.fd.is_some(),
            "iommu" => self.iommu.is_some(),
            "token" => self.token.is_some(),
            _ => true,
        })
    }
}

/// A descriptor that takes the place of opening a file of VFIO, for a process that may not open it.
///
/// Before anything is done with it, it is compared with what sysfs says about the file that it shall be of.
#[derive(Debug)]
pub struct Descriptor(Origin);

#[derive(Debug)]
enum Origin {
    Owned(OwnedFd),
    /// As an address names it: whoever started this process left it open.
    Numbered(RawFd),
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Descriptor {
        Descriptor(Origin::Owned(fd))
    }
}

impl Descriptor {
    /// Names the descriptor of a number, which need not be open.
    pub(super) fn numbered(fd: RawFd) -> Descriptor {
        Descriptor(Origin::Numbered(fd))
    }

    pub(super) fn number(&self) -> RawFd {
        match &self.0 {
            Origin::Owned(fd) => fd.as_raw_fd(),
            Origin::Numbered(fd) => *fd,
        }
    }

    /// Lets go of it, once there is a duplicate. What stays behind under a number that came by an address is the null
    /// device, so that whoever closes it closes nothing of the function's, and whoever hands it over again is told.
    pub(super) fn give_up(self) -> nix::Result<()> {
        match self.0 {
            Origin::Owned(fd) => drop(fd),
            Origin::Numbered(fd) => sys::leave_null(fd)?,
        }
        Ok(())
    }
}

/// Reads the number of a descriptor that somebody may have handed over: not one of the standard streams.
fn descriptor(value: &str) -> Option<Descriptor> {
    let fd = value.parse().ok().filter(|fd| *fd > 2);
    fd.map(Descriptor::numbered)
}

/// A VF token: without it nobody opens a virtual function whose physical function is driven by another process
/// (Linux, drivers/vfio/pci/vfio_pci_core.c, `vfio_pci_validate_vf_token`).
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct VfToken(Uuid);

impl VfToken {
    /// Returns its bytes in the order of the text.
    pub(super) fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for VfToken {
    type Err = ();

    /// Reads a UUID in its long form: 36 characters with four hyphens.
    fn from_str(text: &str) -> Result<VfToken, ()> {
        let token: Hyphenated = text.parse().map_err(drop)?;
        Ok(VfToken(token.into()))
    }
}

impl fmt::Display for VfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for VfToken {
    /// A secret does not go into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VfToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Options, OptionError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Options::parse(&pairs)
    }

    const TOKEN: &str = "14d63f20-8445-11ea-8900-1f9ce7d5650d";

    #[test]
    fn options_are_read() {
        let (none, default) = (parse(&[]).unwrap(), Options::default());
        assert_eq!(format!("{none:?}"), format!("{default:?}"));
        let options = parse(&[
            ("backend", "cdev"),
            ("noiommu", "1"),
            ("fd", "7"),
            ("iommu", "9"),
        ]);
        let options = options.unwrap();
        assert_eq!(options.backend, Some(Backend::Cdev));
        assert!(options.noiommu);
        let number = |fd: Option<Descriptor>| fd.map(|fd| fd.number());
        assert_eq!(
            (number(options.fd), number(options.iommu)),
            (Some(7), Some(9))
        );
        assert_eq!(
            parse(&[("backend", "group")]).unwrap().backend,
            Some(Backend::Group)
        );
        let token = parse(&[("token", TOKEN)]).unwrap().token.unwrap();
        assert_eq!(token.to_string(), TOKEN);
        assert_eq!(
            token.bytes()[..2],
            [0x14, 0xd6],
            "bytes in the order of the text"
        );
        assert!(!format!("{token:?}").contains("14d6"));
    }

    #[test]
    fn options_that_are_not_known_are_refused_by_name() {
        assert!(
            matches!(parse(&[("seed", "1")]), Err(OptionError::Unknown { key }) if key == "seed")
        );
        for (key, bad) in [
            ("backend", "uio"),
            ("noiommu", "yes"),
            ("fd", "2"),
            ("fd", "-1"),
            ("iommu", "x"),
        ] {
            assert!(
                matches!(parse(&[(key, bad)]), Err(OptionError::Value { value, .. }) if value == bad),
                "{key}={bad}"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for bad in [
            "14d63f20",
            "14d63f20-8445-11ea-8900-1f9ce7d5650g",
            "14d63f20844511ea89001f9ce7d5650d",
            "{14d63f20-8445-11ea-8900-1f9ce7d5650d}",
            "urn:uuid:14d63f20-8445-11ea-8900-1f9ce7d5650d",
            "14d63f208-445-11ea-8900-1f9ce7d5650d",
            "14d63f20-8445-11ea-8900-1f9ce7d565é",
        ] {
            let refused = parse(&[("token", bad)]).unwrap_err().to_string();
            assert!(refused.contains("token can't be `(hidden)`"), "{refused}");
            assert!(refused.contains("8-4-4-4-12"), "{refused}");
        }
    }
}
