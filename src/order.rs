//! The order between normal memory and registers of a device.
//!
//! A fence of the language orders what *processors* see of normal memory. A device is another observer, and its registers
//! are another kind of memory, so each platform adds what its kernel's accessors have (Linux 6.12, `arch/*/include/asm`:
//! `io.h`, `mmio.h`, `barrier.h`; what they promise is in `Documentation/memory-barriers.txt`, "KERNEL I/O BARRIER
//! EFFECTS"):
//!
//! | | x86-64 | arm64 | riscv64 | ppc64le |
//! | --- | --- | --- | --- | --- |
//! | [`before_write`] | nothing: stores stay in order, and behind loads | `dmb osh` | `fence rw, o` | `sync` |
//! | Linux, `writel` | nothing | `dmb oshst` | `fence w, o` | `sync` |
//! | [`before_read`] | nothing | nothing: device memory stays in order | nothing, likewise | `sync` |
//! | Linux, `readl` | nothing | nothing | nothing | `sync` |
//! | [`after_read`] | nothing: loads stay in order | `dmb oshld`, and a branch on the value | `fence i, iorw` | `sync` |
//! | Linux, `readl` | nothing | the same | `fence i, ir` | a trap on the value, `isync` |
//! | [`after_load`] | nothing | `dmb oshld` | `fence r, rw` | `lwsync` |
//! | Linux, `dma_rmb` | nothing | the same | `fence ir, ir` | the same |
//!
//! "Nothing" still keeps the compiler from moving accesses.
//!
//! # Why not `dmb ish`
//!
//! It is what Rust's fences are on arm64, and it orders accesses for observers of the inner shareable domain, which are the
//! processors that run one kernel. A PCIe function need not be in there; it is in the outer shareable one, as VFIO hands out
//! coherent functions alone (`vfio_main.c`, `IOMMU_CAP_CACHE_COHERENCY`). `osh` includes `ish`.
//!
//! `writel` orders stores alone, and leaves drivers to order the loads before it. A doorbell of ours also says how many
//! entries were *loaded*, which the device then overwrites, so [`before_write`] orders both.
//!
//! # What needs nothing
//!
//! Registers among themselves: VFIO maps a BAR uncached (`vfio_pci_core_mmap`, `pgprot_noncached`; on arm64 that is
//! nGnRnE). Such memory is not gathered, reordered or answered early, so stores are not combined either, and an aligned
//! store of 64 bits is one access. Whoever shares a doorbell between threads hands it over by a lock or a channel, which
//! orders what each did.
#![cfg_attr(not(feature = "vfio"), allow(dead_code))]

/// Whether this file knows the platform. Elsewhere nothing is mapped, and the kernel's accessors keep the order.
pub(crate) const KNOWN: bool = cfg!(target_endian = "little")
    && cfg!(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "powerpc64"
    ));

/// Keeps loads and stores of normal memory before a store to the device: entries before the doorbell that tells of them.
#[inline(always)]
pub(crate) fn before_write() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory.
    unsafe {
        std::arch::asm!("dmb osh", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "riscv64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("fence rw, o", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "powerpc64")]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst); // `sync`
    #[cfg(not(any(
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "powerpc64"
    )))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::Release); // for the compiler alone
}

/// Keeps a load from the device behind stores to it.
#[inline(always)]
pub(crate) fn before_read() {
    #[cfg(target_arch = "powerpc64")]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst); // `sync`
}

/// Keeps everything behind a load of `value` from the device: loads of what the device wrote before, and looks at the clock.
#[inline(always)]
pub(crate) fn after_read<T: Copy + Into<u64>>(value: T) -> T {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no memory; the branch is never taken. The kernel's clock synchronises instructions with
    // `isb`, which waits for a branch that a load decides, and for no barrier (`io.h`, `__io_ar`).
    unsafe {
        std::arch::asm!(
            "dmb oshld",
            "eor {zero}, {value}, {value}",
            "cbnz {zero}, .",
            zero = out(reg) _,
            value = in(reg) value.into(),
            options(nostack, preserves_flags)
        );
    }
    #[cfg(target_arch = "riscv64")]
    // SAFETY: a barrier touches no register and no memory.
    unsafe {
        std::arch::asm!("fence i, iorw", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "powerpc64")]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst); // `sync`
    #[cfg(not(any(
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "powerpc64"
    )))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire); // for the compiler alone
    value
}

/// Keeps loads of memory that the device writes in their order: entries behind the status line that counts them.
#[inline(always)]
pub(crate) fn after_load() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory.
    unsafe {
        std::arch::asm!("dmb oshld", options(nostack, preserves_flags));
    }
    // On riscv64 `fence r, rw`, on ppc64le `lwsync`.
    #[cfg(not(target_arch = "aarch64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
}
