//! The kernel's files below one root directory: /sys, /proc, /dev and /etc.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::Bdf;

/// A root directory with the kernel's files below it: that of the running system, or a tree that looks like it.
///
/// What is missing or can't be read is `None` or empty: which files there are depends on the kernel, the device and
/// the user, and each caller says what an absence means.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// Who may use a file.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permissions {
    /// User id of the owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Tree {
    /// Looks at the running system.
    pub fn running() -> Tree {
        Tree::at(Path::new("/"))
    }

    /// Looks at a tree that has `sys`, `proc`, `dev` and `etc` below `root`.
    pub fn at(root: &Path) -> Tree {
        Tree { root: root.into() }
    }

    /// Returns where a path of the system, such as `/sys/bus`, is in this tree.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Tells whether there is something at `path`.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Reads a file without the white space at its ends. Bytes that are no text become replacement characters.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// Reads a file that holds one number, decimal or hexadecimal behind 0x.
    pub(crate) fn number<T: FromStr + TryFrom<u64>>(&self, path: &str) -> Option<T> {
        let text = self.text(path)?;
        match text.strip_prefix("0x") {
            Some(digits) => T::try_from(u64::from_str_radix(digits, 16).ok()?).ok(),
            None => text.parse().ok(),
        }
    }

    /// Reads a file as it is, up to what the user may see of it.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path(path)).ok()
    }

    /// Reads the first bytes of a file and no more; `None` where there are fewer.
    pub(crate) fn first<const N: usize>(&self, path: &str) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let mut file = fs::File::open(self.path(path)).ok()?;
        file.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// Returns where a symbolic link points to, as it is written there.
    pub(crate) fn target(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// Returns the last part of what a symbolic link points to.
    pub(crate) fn link(&self, path: &str) -> Option<String> {
        let target = self.target(path)?;
        target.rsplit('/').next().map(str::to_string)
    }

    /// Returns the names in a directory, in order.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path));
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Returns the first two numbers of the kernel's version.
    pub(crate) fn kernel(&self) -> Option<(u32, u32)> {
        let release = self.text("/proc/sys/kernel/osrelease")?;
        let mut numbers = release.split(['.', '-']).map(|part| part.parse().ok());
        numbers.next().flatten().zip(numbers.next().flatten())
    }

    /// Returns the numbers of the machine's NUMA nodes, in order.
    pub fn nodes(&self) -> Vec<u32> {
        let names = self.names("/sys/devices/system/node");
        let number = |name: &String| name.strip_prefix("node")?.parse().ok();
        let mut nodes: Vec<u32> = names.iter().filter_map(number).collect();
        nodes.sort_unstable();
        nodes
    }

    /// Tells whether the machine has a NUMA node of that number.
    pub fn has_node(&self, node: u32) -> bool {
        self.nodes().contains(&node)
    }

    /// Returns who may use what is at `path`.
    pub(crate) fn permissions(&self, path: &str) -> Option<Permissions> {
        let metadata = fs::metadata(self.path(path)).ok()?;
        Some(Permissions {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        })
    }

    /// Returns the PCI functions on the way to what a path of sysfs leads to, from the root complex on.
    ///
    /// The last of them is the function that the thing belongs to: sysfs nests devices as the buses do.
    pub(crate) fn functions_above(&self, path: &str) -> Vec<Bdf> {
        let Ok(real) = self.path(path).canonicalize() else {
            return Vec::new();
        };
        let parts = real.components().filter_map(|part| match part {
            Component::Normal(name) => name.to_str()?.parse().ok(),
            _ => None,
        });
        parts.collect()
    }

    /// Returns the number of a user, by name in `/etc/passwd` or by the number itself.
    ///
    /// Users of other sources, such as LDAP, are known by number only.
    pub fn user(&self, name: &str) -> Option<u32> {
        if let Ok(uid) = name.parse() {
            return Some(uid);
        }
        let mut users = self.users().into_iter();
        let user = users.find(|user| user.0 == name);
        user.map(|user| user.1)
    }

    /// Returns the name of a user, or the number where nobody has one for it.
    pub(crate) fn user_name(&self, uid: u32) -> String {
        let mut users = self.users().into_iter();
        let user = users.find(|user| user.1 == uid);
        user.map_or_else(|| uid.to_string(), |user| user.0)
    }

    /// Reads the lines `NAME:PASSWORD:NUMBER:...` of /etc/passwd.
    fn users(&self) -> Vec<(String, u32)> {
        let text = self.text("/etc/passwd").unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_string(), fields.nth(1)?.parse().ok()?))
        };
        text.lines().filter_map(user).collect()
    }
}
