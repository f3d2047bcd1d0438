//! The files through which VFIO is reached: opened by their paths, or taken over from a parent who opened them.
//!
//! A descriptor comes as a number, and numbers lie: it may be closed, somebody else's, or of another function. So its
//! file is compared with what sysfs says about the one that it shall be, before anything is done with it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat, major, minor};

use super::error::{KernelErrno, VfioError};
use super::options::{Backend, Descriptor};
use super::sys;
use super::whereabouts::Whereabouts;
use crate::machine::{Openers, Tree, cdev_path, directory};

/// A character device of VFIO, told by where it is below /dev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// `/dev/vfio/vfio`.
    Container,
    /// `/dev/vfio/GROUP`; those without an IOMMU have a prefix.
    Group(String),
    /// `/dev/iommu`.
    Iommufd,
    /// `/dev/vfio/devices/vfioN`.
    Cdev(String),
}

impl Node {
    /// Returns the node of a function's group.
    pub(super) fn group(at: &Whereabouts) -> Node {
        Node::Group(at.group.node_name())
    }

    /// Returns the node of a function's own, where the kernel has such.
    pub(super) fn cdev(at: &Whereabouts) -> Option<Node> {
        at.cdev.clone().map(Node::Cdev)
    }

    pub(super) fn path(&self) -> String {
        match self {
            Node::Container => "/dev/vfio/vfio".into(),
            Node::Group(name) => format!("/dev/vfio/{name}"),
            Node::Iommufd => "/dev/iommu".into(),
            Node::Cdev(name) => cdev_path(name),
        }
    }

    /// Opens the node for reading and writing.
    fn open(&self, tree: &Tree, at: &Whereabouts) -> Result<File, VfioError> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(tree.path(&self.path()));
        file.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EBUSY) => self.busy(at, "open", Errno::EBUSY, holders(tree, &self.path())),
            errno => open_error(at, self.path(), errno.unwrap_or(Errno::UnknownErrno)),
        })
    }

    /// Returns the number of the node as the kernel writes it, `MAJOR:MINOR`; `None` where there is none.
    fn number(&self, tree: &Tree, at: &Whereabouts) -> Option<String> {
        tree.text(&match self {
            Node::Container => "/sys/class/misc/vfio/dev".into(),
            Node::Iommufd => "/sys/class/misc/iommu/dev".into(),
            Node::Group(name) => format!("/sys/class/vfio/{name}/dev"),
            // Below the function itself: whatever else has such a name is not it.
            Node::Cdev(name) => format!("{}/vfio-dev/{name}/dev", directory(at.bdf)),
        })
    }

    /// Makes the error of a call on this node that failed because others have it open; `None` where nobody is seen.
    pub(super) fn held_by_others(
        &self,
        tree: &Tree,
        at: &Whereabouts,
        call: &'static str,
        errno: Errno,
    ) -> Option<VfioError> {
        let mut holders = holders(tree, &self.path());
        holders.retain(|(pid, _)| *pid != std::process::id());
        (!holders.is_empty()).then(|| self.busy(at, call, errno, holders))
    }

    fn busy(
        &self,
        at: &Whereabouts,
        call: &'static str,
        errno: Errno,
        holders: Vec<(u32, String)>,
    ) -> VfioError {
        VfioError::Busy {
            bdf: at.bdf,
            group: at.group.number,
            call,
            errno: KernelErrno(errno),
            path: self.path(),
            holders,
        }
    }

    /// Opens the node, or duplicates the descriptor that takes its place: several functions may share one.
    pub(super) fn open_or_share(
        &self,
        tree: &Tree,
        at: &Whereabouts,
        handed: Option<Descriptor>,
    ) -> Result<File, VfioError> {
        match handed {
            Some(handed) => self.share(tree, at, handed.number()).map(File::from),
            None => self.open(tree, at),
        }
    }

    /// Opens the node, or takes the descriptor that takes its place: the function is closed when the result is, so
    /// nobody else may keep it open.
    pub(super) fn open_or_take(
        &self,
        tree: &Tree,
        at: &Whereabouts,
        handed: Option<Descriptor>,
    ) -> Result<File, VfioError> {
        let Some(handed) = handed else {
            return self.open(tree, at);
        };
        let fd = handed.number();
        let taken = self.share(tree, at, fd)?;
        let given_up = handed.give_up();
        given_up.map_err(|errno| open_error(at, described(fd, self), errno))?;
        Ok(taken.into())
    }

    /// Duplicates a descriptor, close-on-exec, if it is one of this node.
    fn share(&self, tree: &Tree, at: &Whereabouts, fd: RawFd) -> Result<OwnedFd, VfioError> {
        let error = |errno| open_error(at, described(fd, self), errno);
        let own = sys::duplicate(fd).map_err(error)?;
        let found = number_of(&own).map_err(error)?;
        let wanted = self.number(tree, at);
        if found.is_some() && found == wanted {
            return Ok(own);
        }
        let name = |number: Option<String>, none: &str| match number {
            Some(number) => format!("character device {number}"),
            None => none.into(),
        };
        Err(VfioError::Handed {
            bdf: at.bdf,
            fd,
            found: name(found, "no character device"),
            path: self.path(),
            wanted: name(wanted, "not known to sysfs"),
        })
    }
}

/// Looks for processes that have a node open: id and program. Other users' are seen by root alone.
fn holders(tree: &Tree, path: &str) -> Vec<(u32, String)> {
    let openers = Openers::read(tree);
    let of_path = openers.of(&[path.to_string()]).into_iter();
    of_path
        .map(|opener| (opener.pid, opener.command.clone()))
        .collect()
}

/// Tells which way in a descriptor of this process belongs to, by the device that it is.
pub(super) fn kind_of(tree: &Tree, at: &Whereabouts, fd: RawFd) -> Option<Backend> {
    let is = |node: Node| node.share(tree, at, fd).is_ok();
    if is(Node::Iommufd) || Node::cdev(at).is_some_and(is) {
        return Some(Backend::Cdev);
    }
    (is(Node::Container) || is(Node::group(at))).then_some(Backend::Group)
}

fn described(fd: RawFd, node: &Node) -> String {
    format!("descriptor {fd} for {}", node.path())
}

/// Returns the number of a descriptor's character device as sysfs writes it.
fn number_of(fd: &OwnedFd) -> nix::Result<Option<String>> {
    let file = fstat(fd.as_fd())?;
    let is_device = SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    let (major, minor) = (major(file.st_rdev), minor(file.st_rdev));
    Ok(is_device.then(|| format!("{major}:{minor}")))
}

fn open_error(at: &Whereabouts, path: String, errno: Errno) -> VfioError {
    VfioError::Open {
        bdf: at.bdf,
        group: at.group.number,
        path,
        errno: KernelErrno(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::super::whereabouts::testing::{BDF, file, find_in, machine};
    use super::*;
    use crate::machine::testing::FakeMachine;
    use std::os::fd::AsRawFd;

    /// A machine in which the function's character device is /dev/zero, and the IOMMU's /dev/full.
    fn tree() -> (FakeMachine, Tree, Whereabouts) {
        let machine = machine(Some("vfio-pci"));
        machine.write(&file("vfio-dev/vfio3/dev"), "1:5\n");
        machine.write("/sys/class/misc/iommu/dev", "1:7\n");
        let (tree, at) = (machine.tree(), find_in(&machine, &Default::default()));
        (machine, tree, at.unwrap())
    }

    /// As an address names a descriptor.
    fn numbered(fd: RawFd) -> Option<Descriptor> {
        Some(Descriptor::numbered(fd))
    }

    fn open(path: &str) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn number(file: &impl AsFd) -> Option<String> {
        number_of(&file.as_fd().try_clone_to_owned().unwrap()).unwrap()
    }

    fn device() -> Node {
        Node::Cdev("vfio3".into())
    }

    #[test]
    fn a_descriptor_is_taken_once_and_closed_once() {
        let (_machine, tree, at) = tree();
        let handed = open("/dev/zero");
        let fd = handed.as_raw_fd();
        let taken = device().open_or_take(&tree, &at, numbered(fd)).unwrap();
        assert_ne!(taken.as_raw_fd(), fd);
        assert_eq!(number(&taken).as_deref(), Some("1:5"));
        let behind = number(&handed);
        assert_eq!(behind.as_deref(), Some("1:3"), "nobody else has it open");
        let again = device().open_or_take(&tree, &at, numbered(fd)).unwrap_err();
        let text = again.to_string();
        assert!(text.contains("taken already"), "{text}");
        // Closes the null device: the one that was taken stays open.
        drop(handed);
        assert_eq!(number(&taken).as_deref(), Some("1:5"));
    }

    #[test]
    fn a_descriptor_that_the_caller_owns_is_taken_whole_or_refused() {
        let (_machine, tree, at) = tree();
        let given = |path| Some(Descriptor::from(OwnedFd::from(open(path))));
        let taken = device().open_or_take(&tree, &at, given("/dev/zero"));
        assert_eq!(number(&taken.unwrap()).as_deref(), Some("1:5"));
        let other = device().open_or_take(&tree, &at, given("/dev/full"));
        assert!(matches!(other, Err(VfioError::Handed { .. })), "{other:?}");
        let iommu = Descriptor::from(OwnedFd::from(open("/dev/full")));
        let kind = kind_of(&tree, &at, iommu.number());
        assert_eq!(kind, Some(Backend::Cdev));
    }

    #[test]
    fn what_was_taken_is_not_inherited() {
        let (_machine, tree, at) = tree();
        let handed = open("/dev/zero");
        nix::fcntl::fcntl(
            &handed,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let fd = handed.as_raw_fd();
        let taken = device().open_or_take(&tree, &at, numbered(fd)).unwrap();
        for file in [&taken, &handed] {
            let flags = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags, nix::fcntl::FdFlag::FD_CLOEXEC.bits());
        }
    }

    #[test]
    fn the_iommu_of_several_functions_is_shared() {
        let (_machine, tree, at) = tree();
        let handed = open("/dev/full");
        for _ in 0..2 {
            let fd = numbered(handed.as_raw_fd());
            let shared = Node::Iommufd.open_or_share(&tree, &at, fd).unwrap();
            assert_eq!(number(&shared).as_deref(), Some("1:7"));
        }
        assert_eq!(number(&handed).as_deref(), Some("1:7"));
    }

    #[test]
    fn a_descriptor_of_another_device_is_refused_and_left_alone() {
        let (_machine, tree, at) = tree();
        let other = open("/dev/full");
        let fd = other.as_raw_fd();
        let text = device().open_or_take(&tree, &at, numbered(fd)).unwrap_err();
        let text = text.to_string();
        for word in [
            BDF,
            "character device 1:7",
            "/dev/vfio/devices/vfio3",
            "1:5",
        ] {
            assert!(text.contains(word), "no {word} in {text}");
        }
        assert_eq!(number(&other).as_deref(), Some("1:7"));
        let plain = tempfile::tempfile().unwrap();
        let fd = plain.as_raw_fd();
        let text = device().open_or_take(&tree, &at, numbered(fd)).unwrap_err();
        assert!(text.to_string().contains("no character device"), "{text}");
        let unknown = Node::group(&at).open_or_take(&tree, &at, numbered(fd));
        assert!(unknown.is_err(), "not even where sysfs knows none either");
    }

    #[test]
    fn a_descriptor_that_is_closed_is_refused_with_its_number() {
        let (_machine, tree, at) = tree();
        let closed = device()
            .open_or_take(&tree, &at, numbered(9999))
            .unwrap_err();
        let text = closed.to_string();
        assert!(text.contains("9999") && text.contains("EBADF"), "{text}");
    }

    #[test]
    fn who_has_a_node_open_is_found() {
        let (_machine, _, at) = tree();
        let _open = open("/dev/zero");
        let own = std::process::id();
        assert!(
            holders(&Tree::running(), "/dev/zero")
                .iter()
                .any(|(pid, program)| *pid == own && !program.is_empty())
        );
        // Nobody but this process, if anybody, has these.
        let node = Node::Cdev("vfio99999".into());
        assert!(
            node.held_by_others(&Tree::running(), &at, "open", Errno::EBUSY)
                .is_none()
        );
    }

    #[test]
    fn nodes_have_their_paths() {
        let (_machine, _, mut at) = tree();
        assert_eq!(Node::group(&at).path(), "/dev/vfio/7");
        at.group.noiommu = true;
        assert_eq!(Node::group(&at).path(), "/dev/vfio/noiommu-7");
        assert_eq!(device().path(), "/dev/vfio/devices/vfio3");
    }
}
