//! Where a function is found, or why it can't be opened: its driver, its IOMMU group, who else is in it.

use nix::errno::Errno;

use super::error::{KernelErrno, VfioError};
use super::options::{Backend, Options};
use crate::machine::{Bdf, Config, Group, Tree, is_vfio};

/// Where a function that can be opened is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whereabouts {
    pub(super) bdf: Bdf,
    /// Its IOMMU group; that of a function without an IOMMU the caller accepts.
    pub(super) group: Group,
    /// Name of its character device below /dev/vfio/devices, where the kernel has such.
    pub(super) cdev: Option<String>,
    pub(super) node: Option<u32>,
}

impl Whereabouts {
    /// Makes the error of a call that refused.
    pub(super) fn call_error(&self, call: &'static str, errno: Errno) -> VfioError {
        VfioError::Call {
            bdf: self.bdf,
            group: self.group.number,
            call,
            errno: KernelErrno(errno),
        }
    }
}

/// Finds out all that opening `bdf` needs, or why it can't be opened.
pub(super) fn find(tree: &Tree, bdf: Bdf, options: &Options) -> Result<Whereabouts, VfioError> {
    let files = tree.function(bdf);
    if !files.exists() {
        return Err(VfioError::NoFunction { bdf });
    }
    let driver = files.driver();
    if !driver.as_deref().is_some_and(is_vfio) {
        return Err(VfioError::Driver { bdf, driver });
    }
    let group = files.group().ok_or(VfioError::NoIommu { bdf })?;
    if group.noiommu && !options.noiommu {
        let group = group.number;
        return Err(VfioError::NoIommuMode { bdf, group });
    }
    if is_gone(tree, bdf) {
        return Err(VfioError::Gone { bdf });
    }
    let cdev = files.vfio_device();
    if options.backend == Some(Backend::Cdev) && cdev.is_none() {
        return Err(VfioError::NoCdev { bdf });
    }
    Ok(Whereabouts {
        bdf,
        group,
        cdev,
        node: files.node(),
    })
}

/// Tells whether nobody answers at an address. The kernel waits a minute or more for such a function when it opens or
/// resets it, and hears no signal meanwhile; reading its header takes no time, unless another process is resetting it.
pub(super) fn is_gone(tree: &Tree, bdf: Bdf) -> bool {
    Config::header(tree, bdf).is_some_and(|config| config.is_gone())
}

/// Returns the functions of a group that keep it from being used now: each with its driver.
pub(super) fn strangers(tree: &Tree, at: &Whereabouts) -> Vec<(String, String)> {
    let group = tree.function(at.bdf).group();
    let strangers = group.iter().flat_map(Group::strangers);
    strangers
        .filter_map(|member| Some((member.bdf.to_string(), member.driver.clone()?)))
        .collect()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::machine::directory;
    use crate::machine::testing::FakeMachine;

    pub(crate) const BDF: &str = "0000:01:00.0";

    pub(crate) fn bdf() -> Bdf {
        BDF.parse().unwrap()
    }

    /// Returns where a file of the function is.
    pub(crate) fn file(name: &str) -> String {
        format!("{}/{name}", directory(bdf()))
    }

    /// Makes a machine with a function in group 7.
    pub(crate) fn machine(driver: Option<&str>) -> FakeMachine {
        let machine = FakeMachine::new();
        machine.function(bdf(), 7, driver);
        machine.write(&file("numa_node"), "1\n");
        machine
    }

    pub(crate) fn find_in(
        machine: &FakeMachine,
        options: &Options,
    ) -> Result<Whereabouts, VfioError> {
        find(&machine.tree(), bdf(), options)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{bdf, file, find_in, machine};
    use super::*;
    use crate::machine::testing::FakeMachine;

    fn found(machine: &FakeMachine) -> Result<Whereabouts, VfioError> {
        find_in(machine, &Options::default())
    }

    fn cdev() -> Options {
        Options {
            backend: Some(Backend::Cdev),
            ..Options::default()
        }
    }

    #[test]
    fn a_function_that_is_bound_is_found() {
        let machine = machine(Some("vfio-pci"));
        let at = found(&machine).unwrap();
        assert_eq!(
            (at.group.number, at.node, at.cdev.as_deref()),
            (7, Some(1), None)
        );
        let refused = find_in(&machine, &cdev());
        assert!(matches!(refused, Err(VfioError::NoCdev { .. })));
        machine.write(&file("vfio-dev/vfio3/dev"), "1:5");
        let at = find_in(&machine, &cdev()).unwrap();
        assert_eq!(at.cdev.as_deref(), Some("vfio3"));
    }

    #[test]
    fn a_node_of_minus_one_is_none() {
        let machine = machine(Some("mlx5-vfio-pci"));
        machine.write(&file("numa_node"), "-1\n");
        assert_eq!(found(&machine).unwrap().node, None);
    }

    #[test]
    fn a_function_that_is_absent_or_not_bound_is_refused() {
        let other = "0000:02:00.0".parse().unwrap();
        let absent = find(&machine(None).tree(), other, &Options::default());
        assert!(matches!(absent, Err(VfioError::NoFunction { .. })));
        let unbound = found(&machine(None));
        assert!(matches!(
            unbound,
            Err(VfioError::Driver { driver: None, .. })
        ));
        let bound = found(&machine(Some("nvme")));
        assert!(
            matches!(bound, Err(VfioError::Driver { driver: Some(name), .. }) if name == "nvme")
        );
    }

    #[test]
    fn a_board_that_does_not_answer_is_refused_before_it_is_opened() {
        let machine = machine(Some("vfio-pci"));
        let mut space = [0xff; 256];
        machine.write(&file("config"), space);
        assert!(matches!(found(&machine), Err(VfioError::Gone { .. })));
        // The ids of a virtual function read all ones, and the rest does not.
        space[8..12].copy_from_slice(&[1, 0, 0x80, 5]);
        machine.write(&file("config"), space);
        assert_eq!(found(&machine).unwrap().group.number, 7);
    }

    #[test]
    fn without_an_iommu_a_function_is_refused() {
        let machine = machine(Some("vfio-pci"));
        machine.write("/sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
        let refused = found(&machine);
        assert!(matches!(
            refused,
            Err(VfioError::NoIommuMode { group: 7, .. })
        ));
        let asked = Options {
            noiommu: true,
            ..Options::default()
        };
        assert!(find_in(&machine, &asked).unwrap().group.noiommu);
        machine.remove(&file("iommu_group"));
        assert!(matches!(found(&machine), Err(VfioError::NoIommu { .. })));
    }

    #[test]
    fn those_who_block_a_group_are_named() {
        let machine = machine(Some("vfio-pci"));
        for (name, driver) in [
            ("0000:01:00.1", Some("ixgbe")),
            ("0000:00:01.0", Some("pcieport")),
            ("0000:01:00.2", None),
        ] {
            machine.function(name.parse().unwrap(), 7, driver);
        }
        let at = found(&machine).unwrap();
        assert_eq!(at.bdf, bdf());
        assert_eq!(
            strangers(&machine.tree(), &at),
            [("0000:01:00.1".to_string(), "ixgbe".to_string())]
        );
    }
}
