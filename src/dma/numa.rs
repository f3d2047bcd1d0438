//! NUMA placement by system call: `mbind` and `get_mempolicy`, which `nix` has no wrappers for.

use std::ptr::{self, NonNull};

use memmap2::MmapRaw;
use nix::errno::Errno;

/// Bits of a node mask. The kernel has at most 1024 nodes (`CONFIG_NODES_SHIFT` is 10 at most).
const MAX_NODES: u32 = 1024;

/// Answer with a node number, linux/mempolicy.h.
const MPOL_F_NODE: libc::c_ulong = 1 << 0;
/// Ask about the page at an address, linux/mempolicy.h.
const MPOL_F_ADDR: libc::c_ulong = 1 << 1;

/// Binds pages of `map` that are not populated yet to `node`.
///
/// The policy belongs to the file behind a shared mapping: whoever populates the pages, they come from this node.
pub(super) fn bind(map: &MmapRaw, node: u32) -> Result<(), Errno> {
    if node >= MAX_NODES {
        return Err(Errno::EINVAL);
    }
    let word_bits = libc::c_ulong::BITS;
    let mut mask = [0 as libc::c_ulong; (MAX_NODES / libc::c_ulong::BITS) as usize];
    mask[(node / word_bits) as usize] = 1 << (node % word_bits);
    // SAFETY: mbind reads MAX_NODES bits at `mask`, which is that long (the kernel takes one off its maxnode
    // argument), and changes only where pages of [as_mut_ptr, + len) will come from, never what the process sees
    // there. The range is a mapping of this process because `map` is borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            map.as_mut_ptr(),
            map.len(),
            libc::MPOL_BIND,
            mask.as_ptr(),
            libc::c_ulong::from(MAX_NODES + 1),
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// Returns the node of the page at `address`, or `None` where the kernel does not tell (no NUMA, seccomp).
pub(super) fn node_of(address: NonNull<u8>) -> Option<u32> {
    let mut node: libc::c_int = -1;
    // SAFETY: get_mempolicy writes one int at `node`, which outlives the call; without a node mask it writes nothing
    // else. It looks `address` up in the page tables and fails with EFAULT where nothing is mapped.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut node,
            ptr::null_mut::<libc::c_ulong>(),
            0 as libc::c_ulong,
            address.as_ptr(),
            MPOL_F_NODE | MPOL_F_ADDR,
        )
    };
    Errno::result(result).ok()?;
    u32::try_from(node).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_mapping_has_no_node() {
        assert_eq!(node_of(NonNull::dangling()), None);
    }
}
