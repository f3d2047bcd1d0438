//! Rules of `SPEC.md` that a BMU breaks.

use super::errors::ErrorKind;
use crate::lies::{Lies, OWN, lies};

lies! {
    OWN;
    /// The error RANGE is reported nowhere.
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
    /// A doorbell that comes while portals are not served is judged at once.
    JudgesWhenQuiesced = "judges-when-quiesced";
    /// The counts of a portal go when it is disabled.
    CountsGo = "counts-go";
    /// A portal that halts takes the ACQUIRE_HEAD of the doorbell that halted it.
    HaltTakesHead = "halt-takes-head";
    /// Of several kinds that are injected by one write the highest happens first.
    InjectsBackwards = "injects-backwards";
    /// A pool is armed only where POOL_LOW was set before it was enabled.
    ArmedAtLow = "armed-at-low";
    /// A list that is emptied because its pool is disabled raises DEPLETED.
    EmptyingDepletes = "emptying-depletes";
    /// A refused enable leaves NATURAL_ALIGN as it was.
    UndoesNatural = "undoes-natural";
    /// With NATURAL_ALIGN a buffer comes back at the address at which it was freed.
    KeepsUnaligned = "keeps-unaligned";
    /// Enabling several errors or events that happened raises their vector once each.
    RaisesEach = "raises-each";
    /// POOL_BASE and POOL_END drop their low six bits.
    DropsLowBits = "drops-low-bits";
    /// The addresses of a portal drop their low six bits.
    DropsRingBits = "drops-ring-bits";
    /// POOL_STATUS.EMPTY is set in a pool that is disabled.
    EmptyWhenDisabled = "empty-when-disabled";
    /// The high half of an allocation reads 0.
    AllocForgetsHigh = "alloc-forgets-high";
    /// A free acts on its low half already, with the high one of 0.
    FreesByHalf = "frees-by-half";
    /// The halves that pages keep are the same one for all pools.
    OneLatch = "one-latch";
    /// Half of a doorbell takes the other one for 0.
    BellForgets = "bell-forgets";
    /// The high half of a register reads as the low one.
    HighReadsLow = "high-reads-low";
    /// A write of one half of a register clears the other.
    HalfClears = "half-clears";
    /// A stride that is no power of two is taken where only those are.
    AnyStride = "any-stride";
    /// A list is never done with being emptied.
    BusyForEver = "busy-for-ever";
    /// A pool is enabled while its list is being emptied.
    EnablesWhileBusy = "enables-while-busy";
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
    /// A status line is written after each doorbell.
    NeedlessLines = "needless-lines";
    /// A status line with HALTED that is refused is one more DMA_FAULT.
    HaltedLineFaults = "halted-line-faults";
    /// Each 20th release entry is consumed and its buffer dropped.
    DropsReleases = "drops-releases";
    /// The device writes into buffers that it holds: a word in the middle of each, when it gets it.
    WriteBuffers = "write-buffers";
}

/// Tells whether errors of a kind are reported nowhere.
pub(super) fn hide(lies: Lies, kind: ErrorKind) -> bool {
    lies.tell(match kind {
        ErrorKind::Range => Lie::HidesRange,
        ErrorKind::Align => Lie::HidesAlign,
        ErrorKind::DoubleFree => Lie::HidesDoubleFree,
        ErrorKind::Overflow => Lie::HidesOverflow,
        ErrorKind::Disabled => Lie::HidesDisabled,
        ErrorKind::Config => Lie::HidesConfig,
        ErrorKind::DmaFault => Lie::HidesDmaFault,
        ErrorKind::BadDoorbell => Lie::HidesBadDoorbell,
        ErrorKind::StaleEntry => Lie::HidesStaleEntry,
    })
}
