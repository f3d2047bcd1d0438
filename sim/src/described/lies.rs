//! Rules that a description states and its device breaks. Of what a description does not name, nothing can be broken.

use crate::lies::{OWN, lies};

lies! {
    OWN;
    /// The newest value leaves first where `order` is fifo, the oldest where it is lifo.
    OtherOrder = "other-order";
    /// A list holds half as many values as `depth` says.
    HoldsHalf = "holds-half";
    /// A pop gives a value and keeps it.
    PopKeeps = "pop-keeps";
    /// `level` counts one value too many in a list that has some.
    LevelMore = "level-more";
    /// What `empty` names never says that there is no value; a pop of none gives the last one again.
    NeverEmpty = "never-empty";
    /// What `full` names never says that there is no room.
    NeverFull = "never-full";
    /// A push past `depth` is kept, and none is told by `full.sticky`.
    TakesMore = "takes-more";
    /// The bit of `full.sticky` is not cleared by a write of ones.
    StickyStays = "sticky-stays";
    /// What `reset.until` names is so before the reset is over.
    UntilEarly = "until-early";
    /// A reset keeps the values.
    ResetKeepsEntries = "reset-keeps-entries";
    /// A reset keeps what registers hold.
    ResetKeepsRegisters = "reset-keeps-registers";
    /// `reset.count` counts a reset five times.
    ResetCountsFive = "reset-counts-5";
    /// A function level reset does not reach the logic, though `reset.flr` says so.
    FlrDoesNothing = "flr-does-nothing";
    /// The interrupt is sent whatever `interrupt.enable` is.
    IgnoresIrqEnable = "ignores-irq-enable";
    /// The interrupt is sent one value too late.
    ThresholdLate = "threshold-late";
    /// The bits of `interrupt.pending` are not cleared.
    PendingStays = "pending-stays";
}
