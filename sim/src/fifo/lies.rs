//! Rules of `SPEC.md` that a FIFO breaks.

use crate::lies::{OWN, lies};

lies! {
    OWN;
    /// The error OVERFLOW is reported nowhere.
    HidesOverflow = "hides-overflow";
    /// The error RANGE is reported nowhere.
    HidesRange = "hides-range";
    /// The error DISABLED is reported nowhere.
    HidesDisabled = "hides-disabled";
    /// Of the rules that a push breaks the last one is reported.
    LastRule = "last-rule";
    /// A push that is refused is counted all the same.
    CountsRefused = "counts-refused";
    /// A 1 that is written to ERROR clears nothing.
    ErrorStays = "error-stays";
    /// The newest number leaves first.
    Stack = "stack";
    /// The queue holds half as many numbers as DEPTH says.
    HoldsHalf = "holds-half";
    /// A pop while ENABLE is 0 takes a number.
    PopsDisabled = "pops-disabled";
    /// A pop that takes nothing reads the number before, without VALID.
    EmptyPopReads = "empty-pop-reads";
    /// A pop of an empty queue counts LEVEL down.
    EmptyPopCounts = "empty-pop-counts";
    /// Writing ENABLE 0 empties the queue.
    DisableEmpties = "disable-empties";
    /// A read overtakes the push before it: LEVEL counts that later.
    ReadsOvertake = "reads-overtake";
    /// STATUS.EMPTY is always set.
    AlwaysEmpty = "always-empty";
    /// STATUS.EMPTY is never set.
    NeverEmpty = "never-empty";
    /// STATUS.FULL is never set.
    NeverFull = "never-full";
    /// The interrupt is sent whatever IRQ_ENABLE is.
    IgnoresIrqEnable = "ignores-irq-enable";
    /// The interrupt is not sent when IRQ_ENABLE is written 1 while EVENT.LOW is 1.
    ForgetsEvent = "forgets-event";
    /// The interrupt is sent each time that EVENT.LOW is set, though it is 1 already.
    RepeatsEvent = "repeats-event";
    /// The interrupt is sent when IRQ_ENABLE is written 1, though it is 1 already.
    RepeatsEnable = "repeats-enable";
    /// The interrupt is sent when IRQ_ENABLE is written 1, whatever EVENT.LOW is.
    EnableFires = "enable-fires";
    /// EVENT.LOW is set one number too early.
    LowEarly = "low-early";
    /// EVENT.LOW is set one number too late.
    LowLate = "low-late";
    /// EVENT.LOW is set by each pop that leaves the level below THRESHOLD.
    LowAgain = "low-again";
    /// EVENT.LOW is set by a push that raises the level to THRESHOLD.
    LowRising = "low-rising";
    /// EVENT.LOW is set when THRESHOLD is written above the level.
    LowAtWrite = "low-at-write";
    /// EVENT.LOW is set when THRESHOLD is written above the level while ENABLE is 1.
    LowAtLateWrite = "low-at-late-write";
    /// EVENT.LOW is set by the pop that empties the queue while THRESHOLD is 0.
    LowWhenOff = "low-when-off";
    /// A reset keeps the queue.
    ResetKeepsQueue = "reset-keeps-queue";
    /// A reset keeps THRESHOLD.
    ResetKeepsThreshold = "reset-keeps-threshold";
    /// A reset keeps IRQ_ENABLE.
    ResetKeepsIrqEnable = "reset-keeps-irq-enable";
    /// A reset keeps EVENT.
    ResetKeepsEvent = "reset-keeps-event";
    /// A reset keeps ERROR.
    ResetKeepsError = "reset-keeps-error";
    /// A reset adds 5 to RESET_COUNT.
    ResetCountsFive = "reset-counts-5";
    /// A function level reset does not reach the logic.
    FlrDoesNothing = "flr-does-nothing";
    /// A function level reset keeps THRESHOLD.
    FlrKeepsThreshold = "flr-keeps-threshold";
    /// A reset takes 20 ms, by its own register.
    SlowReset = "slow-reset";
    /// Whatever is written to RESET resets.
    AnyKey = "any-key";
}
