//! What failed, with which number, why probably, and what to do about it.

use std::fmt;

use hwpool_devices::bus::{BusError, DmaError};
use nix::errno::Errno;

use crate::machine::{Bdf, NotAnAddress};

/// The number of an error of the kernel's. It is shown by its name, as in `EACCES: Permission denied`.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct KernelErrno(pub(super) Errno);

impl KernelErrno {
    /// Returns the number (errno(3)).
    pub fn raw(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for KernelErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KernelErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Why an option behind the address of a function is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no such option.
    #[error(
        "no option `{key}` for vfio: known are backend=group or cdev, noiommu=1, fd=N, iommu=N and token=UUID"
    )]
    Unknown {
        /// The option.
        key: String,
    },
    /// The option has no such value.
    #[error(
        "option {key} can't be `{value}`: known are backend=group or cdev, noiommu=1, fd=N, iommu=N and token=UUID \
         (hexadecimal digits, 8-4-4-4-12)"
    )]
    Value {
        /// The option.
        key: String,
        /// The value; of a token only that it is hidden.
        value: String,
    },
}

/// Why a function can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VfioError {
    /// The text behind `vfio:` is no address of a function.
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    /// An option is not known.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// No such function.
    #[error(
        "no PCI function {bdf}: `lspci -D` lists those that there are; one that was plugged in late needs \
             `echo 1 > /sys/bus/pci/rescan`"
    )]
    NoFunction {
        /// The function.
        bdf: Bdf,
    },
    /// The function is bound to another driver or to none.
    #[error("{bdf} is bound to {}, not to vfio-pci: `modprobe vfio-pci` if it is not there, then `hwpool bind {bdf}`, which \
             refuses a function in use and can give it back (--dry-run shows each step)", driver.as_deref().unwrap_or("no driver"))]
    Driver {
        /// The function.
        bdf: Bdf,
        /// Its driver.
        driver: Option<String>,
    },
    /// The function is behind no IOMMU.
    #[error(
        "{bdf} is in no IOMMU group: switch the IOMMU on in the firmware (VT-d, AMD-Vi, SMMU) and in the kernel \
             (intel_iommu=on), then boot again"
    )]
    NoIommu {
        /// The function.
        bdf: Bdf,
    },
    /// The function is in a group that vfio made up because there is no IOMMU.
    #[error(
        "{bdf} (group {group}) is behind no IOMMU, so it reaches all memory of this machine: refused; switch the IOMMU \
             on (intel_iommu=on), or accept the danger with ?noiommu=1"
    )]
    NoIommuMode {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
    },
    /// backend=cdev was asked for and the kernel does not offer it.
    #[error(
        "{bdf} has no character device of its own: this kernel lacks CONFIG_VFIO_DEVICE_CDEV (Debian's do); \
             leave backend=cdev out"
    )]
    NoCdev {
        /// The function.
        bdf: Bdf,
    },
    /// Another function of the group belongs to another driver.
    #[error(
        "{bdf}: IOMMU group {group} is not viable, because {}: bind those to vfio-pci or to no driver, or move \
             the board to a slot with a group of its own",
        strangers_text(strangers)
    )]
    NotViable {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
        /// The others by address and driver.
        strangers: Vec<(String, String)>,
    },
    /// Nobody answers at the function's address. Opening it all the same would take the kernel minutes.
    #[error(
        "{bdf}: nobody answers (configuration space reads all ones): the board has lost power or link, or is being \
         programmed; `echo 1 > /sys/bus/pci/devices/{bdf}/remove`, then `echo 1 > /sys/bus/pci/rescan` once it is \
         programmed and its link is up; `hwpool doctor {bdf}` looks closer"
    )]
    Gone {
        /// The function.
        bdf: Bdf,
    },
    /// A file of VFIO can't be opened.
    #[error("{bdf} (group {group}): opening {path} failed with errno {errno}: {}", open_hint(path, errno.0))]
    Open {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
        /// The file.
        path: String,
        /// The errno.
        errno: KernelErrno,
    },
    /// Somebody has the function open.
    #[error(
        "{bdf} (group {group}): {call} failed with errno {errno}: {}; a group and a function belong to one process, and to \
         one of the two backends, at a time",
        holders_text(path, holders)
    )]
    Busy {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
        /// The call that failed.
        call: &'static str,
        /// The errno.
        errno: KernelErrno,
        /// The function's file.
        path: String,
        /// Who has it open, as far as this user may see: process id and program.
        holders: Vec<(u32, String)>,
    },
    /// A descriptor that was handed over is not what it should be.
    #[error(
        "{bdf}: descriptor {fd} is {found}, not {path} ({wanted}): it was taken already, or the parent opened another \
         function's file, or handed `fd=` and `iommu=` over the other way round"
    )]
    Handed {
        /// The function.
        bdf: Bdf,
        /// The descriptor.
        fd: i32,
        /// What it is.
        found: String,
        /// The file that it should be of.
        path: String,
        /// What that is.
        wanted: String,
    },
    /// A call refused.
    #[error("{bdf} (group {group}): {call} failed with errno {errno}: {}", hint(call, errno.0))]
    Call {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
        /// The ioctl by name.
        call: &'static str,
        /// The errno.
        errno: KernelErrno,
    },
    /// The kernel's VFIO is of another kind than this driver knows.
    #[error("{bdf}: {what}")]
    Foreign {
        /// The function.
        bdf: Bdf,
        /// What is different.
        what: &'static str,
    },
    /// What the IOMMU can map can't be learned.
    #[error("{bdf}: the limits of its IOMMU can't be learned")]
    Dma {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: DmaError,
    },
    /// An access to the function failed while it was opened.
    #[error("{bdf}: the function does not answer")]
    Bus {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: BusError,
    },
}

impl VfioError {
    /// Tells whether the mistake is in the address, not with the device.
    pub fn is_usage(&self) -> bool {
        matches!(self, VfioError::Address(_) | VfioError::Option(_))
    }
}

/// Makes the DMA error of a call that failed.
pub(super) fn dma_error(call: &'static str, errno: Errno) -> DmaError {
    DmaError::Os {
        call,
        errno: errno as i32,
        hint: hint(call, errno),
    }
}

/// Makes the bus's error of a call that failed.
pub(super) fn bus_error(call: &'static str, errno: Errno) -> BusError {
    match errno {
        Errno::ENODEV => BusError::Gone {
            evidence: format!("{call} says ENODEV"),
        },
        _ => BusError::Os {
            call,
            errno: errno as i32,
            hint: hint(call, errno),
        },
    }
}

fn strangers_text(strangers: &[(String, String)]) -> String {
    if strangers.is_empty() {
        return "another function of it is in use by the kernel".into();
    }
    let each = strangers
        .iter()
        .map(|(name, driver)| format!("{name} is bound to {driver}"));
    each.collect::<Vec<_>>().join(", ")
}

fn holders_text(path: &str, holders: &[(u32, String)]) -> String {
    if holders.is_empty() {
        return format!("another process has {path} open (`fuser -v {path}` as root names it)");
    }
    let each = holders.iter().map(|(pid, program)| match *pid {
        own if own == std::process::id() => format!("{pid} ({program}, this one)"),
        _ => format!("{pid} ({program})"),
    });
    let each = each.collect::<Vec<_>>().join(", ");
    format!("{path} is open in process {each}")
}

/// Says why probably a file of VFIO does not open.
fn open_hint(path: &str, errno: Errno) -> String {
    match errno {
        Errno::EACCES | Errno::EPERM => {
            format!("no permission: `chown USER {path}`, or a udev rule, or root")
        }
        Errno::ENOENT if path == "/dev/vfio/vfio" => {
            "the modules are not loaded: `modprobe vfio-pci vfio_iommu_type1`, \
                         or the container does not have /dev/vfio"
                .into()
        }
        Errno::ENOENT => format!(
            "{path} is not there: the function was unbound, or the container does not have it"
        ),
        Errno::ENODEV | Errno::ENXIO => "the function was unbound or removed meanwhile".into(),
        Errno::EBADF => {
            "no such descriptor is open in this process: did the parent leave close-on-exec set?"
                .into()
        }
        Errno::EMFILE | Errno::ENFILE => "too many open files: raise `ulimit -n`".into(),
        errno => errno.desc().into(),
    }
}

/// Says why probably a call failed, and what to do.
pub(super) fn hint(call: &str, errno: Errno) -> String {
    let text = match (call, errno) {
        ("VFIO_SET_IOMMU", Errno::ENODEV) => {
            "no module for this IOMMU: `modprobe vfio_iommu_type1`"
        }
        ("VFIO_SET_IOMMU", Errno::EPERM) => {
            "the platform can't isolate interrupts (no interrupt remapping): switch it on in the firmware; \
             allow_unsafe_interrupts=1 of the module vfio_iommu_type1 gives the isolation up"
        }
        ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", Errno::EPERM) => {
            "the platform can't isolate interrupts (no interrupt remapping): switch it on in the firmware; \
             allow_unsafe_interrupts=1 of the module iommufd gives the isolation up"
        }
        ("VFIO_SET_IOMMU", Errno::EBUSY) => "the group is in use by another process",
        ("VFIO_GROUP_GET_DEVICE_FD" | "VFIO_DEVICE_BIND_IOMMUFD", Errno::EBUSY) => {
            "another process has the function open"
        }
        ("VFIO_GROUP_GET_DEVICE_FD", Errno::EACCES) => {
            "the physical function of this one is driven with a VF token: give the same with ?token=UUID"
        }
        ("VFIO_DEVICE_BIND_IOMMUFD", Errno::EINVAL) => {
            "another process drives the function (`fuser -v` on its file below /dev/vfio/devices names it), or the \
             kernel could not enable it; see its log (`dmesg`)"
        }
        ("VFIO_GROUP_GET_DEVICE_FD", Errno::EINVAL) => {
            "the kernel could not enable the function (power state, or a reset that failed), or it takes no VF token; \
             see its log (`dmesg`)"
        }
        ("VFIO_GROUP_GET_DEVICE_FD", Errno::ENODEV) => {
            "the group has no such function; a descriptor that was handed over is perhaps another group's"
        }
        ("VFIO_DEVICE_PCI_HOT_RESET" | "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Errno::ENODEV) => {
            "neither its slot nor its bus can be reset, as on the root bus"
        }
        ("VFIO_DEVICE_RESET", Errno::ENOTTY | Errno::EINVAL) => {
            "the function offers no reset of its own"
        }
        ("VFIO_DEVICE_RESET", Errno::EAGAIN) => {
            "the function or its bus is locked by another reset: try again"
        }
        ("VFIO_DEVICE_SET_IRQS", Errno::ENOSPC | Errno::ENOMEM) => {
            "the machine has too few interrupt vectors left: use fewer"
        }
        ("VFIO_DEVICE_SET_IRQS", Errno::EINVAL) => {
            "the function has fewer vectors, or interrupts of another kind are enabled"
        }
        ("VFIO_IOMMU_MAP_DMA" | "IOMMU_IOAS_MAP", Errno::EFAULT) => {
            "the pages can't be pinned: the file is shorter than the range, or its memory was taken away"
        }
        ("VFIO_IOMMU_MAP_DMA" | "IOMMU_IOAS_MAP", Errno::EINVAL) => {
            "the IOMMU does not translate this range, or an address is not aligned to its pages"
        }
        (_, Errno::EIO) => {
            "the function does not answer: power state, a reset under way, memory decoding off"
        }
        (_, Errno::ENOTTY) => "this kernel does not know the call",
        (_, Errno::EACCES | Errno::EPERM) => "no permission",
        (_, Errno::ENODEV) => "the function is gone",
        (_, Errno::ENOMEM) => "out of memory, or over the limit of locked memory",
        (_, errno) => errno.desc(),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bdf() -> Bdf {
        "0000:01:00.0".parse().unwrap()
    }

    fn says(error: impl std::fmt::Display, words: &[&str]) {
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    }

    #[test]
    fn a_foreign_driver_is_named_with_the_commands_that_help() {
        let driver = Some("nvme".into());
        let error = VfioError::Driver { bdf: bdf(), driver };
        says(
            error,
            &[
                "0000:01:00.0",
                "bound to nvme",
                "--dry-run",
                "hwpool bind 0000:01:00.0",
            ],
        );
        let error = VfioError::Driver {
            bdf: bdf(),
            driver: None,
        };
        says(error, &["bound to no driver", "modprobe vfio-pci"]);
    }

    #[test]
    fn those_who_block_a_group_are_in_the_message() {
        let strangers = vec![("0000:01:00.1".into(), "ixgbe".into())];
        let error = VfioError::NotViable {
            bdf: bdf(),
            group: 7,
            strangers,
        };
        says(
            error,
            &["group 7 is not viable", "0000:01:00.1 is bound to ixgbe"],
        );
    }

    #[test]
    fn files_that_do_not_open_say_why_by_errno() {
        let open = |path: &str, errno| VfioError::Open {
            bdf: bdf(),
            group: 7,
            path: path.into(),
            errno: KernelErrno(errno),
        };
        says(
            open("/dev/vfio/7", Errno::EACCES),
            &[
                "0000:01:00.0",
                "group 7",
                "EACCES",
                "chown USER /dev/vfio/7",
            ],
        );
        says(
            open("/dev/vfio/vfio", Errno::ENOENT),
            &["ENOENT", "modprobe"],
        );
        says(open("/dev/vfio/7", Errno::ENOENT), &["unbound"]);
    }

    #[test]
    fn whoever_has_a_function_open_is_named() {
        let busy = |holders| VfioError::Busy {
            bdf: bdf(),
            group: 7,
            call: "open",
            errno: KernelErrno(Errno::EBUSY),
            path: "/dev/vfio/7".into(),
            holders,
        };
        let own = std::process::id();
        says(
            busy(vec![(1, "qemu".into()), (own, "soak".into())]),
            &[
                "group 7",
                "EBUSY",
                "/dev/vfio/7 is open in process 1 (qemu)",
                "(soak, this one)",
            ],
        );
        says(busy(vec![]), &["another process", "fuser -v /dev/vfio/7"]);
    }

    #[test]
    fn calls_that_fail_say_why_by_errno() {
        let call = |call, errno| VfioError::Call {
            bdf: bdf(),
            group: 7,
            call,
            errno: KernelErrno(errno),
        };
        says(
            call("VFIO_SET_IOMMU", Errno::EPERM),
            &["VFIO_SET_IOMMU", "EPERM", "interrupt remapping"],
        );
        says(
            call("VFIO_GROUP_GET_DEVICE_FD", Errno::EBUSY),
            &["another process has the function"],
        );
        says(
            bus_error("VFIO_DEVICE_RESET", Errno::ENOTTY),
            &["VFIO_DEVICE_RESET", "errno 25", "no reset"],
        );
        says(
            bus_error("VFIO_DEVICE_SET_IRQS", Errno::ENOSPC),
            &["too few interrupt vectors"],
        );
        let gone = bus_error("pread", Errno::ENODEV);
        assert!(matches!(gone, BusError::Gone { .. }), "{gone}");
    }

    #[test]
    fn without_an_iommu_the_message_tells_the_danger() {
        let error = VfioError::NoIommuMode {
            bdf: bdf(),
            group: 0,
        };
        says(error, &["reaches all memory", "refused", "noiommu=1"]);
    }

    #[test]
    fn only_mistakes_in_the_address_are_usage() {
        assert!(VfioError::from("x".parse::<Bdf>().unwrap_err()).is_usage());
        assert!(VfioError::from(OptionError::Unknown { key: "x".into() }).is_usage());
        assert!(!VfioError::NoFunction { bdf: bdf() }.is_usage());
    }
}
