//! Lies: rules of its specification that a device breaks from power-up on, each by name.
//!
//! A fault strikes at an occurrence; a lie is how the device is made. `MUSTS.md` beside the specification says which check
//! finds which.

macro_rules! lies {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// A rule that the device breaks.
        #[derive(Debug, Copy, Clone, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Lie {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Lie {
            /// Every lie, by the name that the option `lies` uses.
            pub const ALL: &[(&str, Lie)] = &[$(($text, Lie::$name)),+];
            /// What the option takes.
            pub(crate) const EXPECTED: &str = concat!("names with + between them:", $(" ", $text),+);
        }
    };
}

lies! {
    /// The error RANGE is reported nowhere. The kinds of error come first, in the order of their numbers.
    HidesRange = "hides-range";
    /// The error ALIGN is reported nowhere.
    HidesAlign = "hides-align";
    /// The error DOUBLE_FREE is reported nowhere.
    HidesDoubleFree = "hides-double-free";
    /// The error OVERFLOW is reported nowhere.
    HidesOverflow = "hides-overflow";
    /// The error DISABLED is reported nowhere.
    HidesDisabled = "hides-disabled";
    /// The error CONFIG is reported nowhere.
    HidesConfig = "hides-config";
    /// The error DMA_FAULT is reported nowhere.
    HidesDmaFault = "hides-dma-fault";
    /// The error BAD_DOORBELL is reported nowhere.
    HidesBadDoorbell = "hides-bad-doorbell";
    /// The error STALE_ENTRY is reported nowhere.
    HidesStaleEntry = "hides-stale-entry";
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
    /// The MSI-X table has 2048 vectors.
    ManyVectors = "many-vectors";
    /// The list of capabilities runs in a circle.
    CapabilityLoop = "capability-loop";
    /// The function says that it has a legacy interrupt.
    InterruptPin = "interrupt-pin";
    /// BAR 2 is prefetchable.
    Prefetchable = "prefetchable";
    /// BAR 0 has 2^60 bytes.
    HugeBar = "huge-bar";
    /// A reset keeps the lists of buffers: a pool that is enabled again has them.
    ResetKeepsList = "reset-keeps-list";
    /// A reset keeps IRQ_ENABLE.
    ResetKeepsIrqEnable = "reset-keeps-irq-enable";
    /// A reset keeps the registers of portals, which run on.
    ResetKeepsPortals = "reset-keeps-portals";
    /// A reset keeps POOL_BASE, POOL_END, POOL_STRIDE and POOL_CAPACITY.
    ResetKeepsRanges = "reset-keeps-ranges";
    /// A reset adds 5 to RESET_COUNT.
    ResetCountsFive = "reset-counts-5";
    /// A pool that is disabled keeps its buffers for the next time.
    DisableKeepsList = "disable-keeps-list";
    /// Locked registers of a pool can be written while it is enabled.
    UnlockedPool = "unlocked-pool";
    /// Locked registers of a portal can be written while it is in use.
    UnlockedPortal = "unlocked-portal";
    /// A pool is enabled whatever its configuration.
    InvalidPool = "invalid-pool";
    /// A portal is enabled whatever its configuration.
    InvalidPortal = "invalid-portal";
    /// A pool is disabled under the portals that serve it.
    PoolLeavesPortal = "pool-leaves-portal";
    /// A portal that stops is started again.
    StartsWhileStopping = "starts-while-stopping";
    /// QUIESCE does nothing but set QUIESCED.
    DmaWhenQuiesced = "dma-when-quiesced";
    /// A portal stops without consuming what was announced.
    StopsEarly = "stops-early";
    /// A portal stops without its status line.
    StopsSilently = "stops-silently";
    /// A stale release entry is taken.
    TakesStale = "takes-stale";
    /// A doorbell out of bounds is passed over.
    TakesBadDoorbell = "takes-bad-doorbell";
    /// A portal that halts is disabled by itself.
    HaltsToDisabled = "halts-to-disabled";
    /// A portal that halted stays so until a reset.
    HaltedForEver = "halted-for-ever";
    /// Acquire entries have a reserved bit set.
    DirtyEntries = "dirty-entries";
    /// A status line is 64 bytes long.
    LongLine = "long-line";
    /// EMPTY is set in every status line.
    AlwaysEmpty = "always-empty";
    /// EMPTY is set in no status line.
    NeverEmpty = "never-empty";
    /// HALTED is set in no status line.
    NeverHalted = "never-halted";
    /// STOPPED is set in every status line.
    AlwaysStopped = "always-stopped";
    /// The sequence of status lines stays at 1.
    SequenceStands = "sequence-stands";
    /// A status line counts one buffer too many as available.
    LineMiscounts = "line-miscounts";
    /// The acquire_head of status lines stays 0.
    HeadStands = "head-stands";
    /// Each third status line has the counts of the one two before it.
    LineGoesBack = "line-goes-back";
    /// A status line has the counts of the one before it.
    LineStaysBehind = "line-stays-behind";
    /// Of the status lines that are due each fourth is written.
    LinesAreRare = "lines-are-rare";
    /// Each 20th release entry is consumed and its buffer dropped.
    DropsReleases = "drops-releases";
    /// The device writes into buffers that it holds: a word in the middle of each, when it gets it.
    WriteBuffers = "write-buffers";
}

/// What a device lies about.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lies(u64);

impl Lies {
    /// Reads names with `+` between them.
    pub(crate) fn parse(text: &str) -> Option<Lies> {
        let find = |name: &str| Lie::ALL.iter().find(|(known, _)| *known == name);
        let bits: Option<u64> = text
            .split('+')
            .map(|name| find(name).map(|(_, lie)| 1 << *lie as u8))
            .try_fold(0, |all, bit| Some(all | bit?));
        bits.map(Lies)
    }

    /// Tells whether there are none: a device that is true asks no further.
    #[inline]
    pub(crate) fn are_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn tell(self, lie: Lie) -> bool {
        self.0 >> lie as u8 & 1 != 0
    }

    /// Tells whether errors of the kind with this number are hidden.
    pub(crate) fn hide(self, kind: u8) -> bool {
        const FIRST: u8 = Lie::HidesRange as u8;
        kind <= Lie::HidesStaleEntry as u8 - FIRST && self.0 >> (FIRST + kind) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_are_told_by_name() {
        let lies = Lies::parse("no-aer+hides-stale-entry").unwrap();
        assert!(lies.tell(Lie::NoAer) && !lies.tell(Lie::NoFlr));
        assert!(lies.hide(8) && !lies.hide(7) && !lies.hide(9));
        assert_eq!(Lies::parse("no-air"), None);
        assert_eq!(Lies::parse(""), None);
        assert!(Lie::ALL.len() <= 64);
    }
}
