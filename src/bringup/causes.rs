//! What a failure probably comes from.

/// Causes of the failures of one rung, or of all, whose message has certain words.
struct Row {
    /// Beginning of the rung's id; empty for all rungs.
    rung: &'static str,
    says: &'static str,
    causes: &'static [&'static str],
}

/// Returns what the failure of a rung probably comes from, the likeliest first.
pub(super) fn causes(rung: &str, message: &str) -> Vec<&'static str> {
    let fits = |row: &&Row| rung.starts_with(row.rung) && message.contains(row.says);
    let found = TABLE.iter().find(fits);
    found.map_or_else(Vec::new, |row| row.causes.to_vec())
}

/// The first row that fits counts: the special before the general.
#[rustfmt::skip] // a table: one symptom, one row
const TABLE: &[Row] = &[
    row("", "by the plan", &[
        "the board is not as its plan says: another slot, firmware or setting",
        "the machine is busy with something else, where the limit is one of time",
    ]),
    row("regs.scratch", "SCRATCH reads 0xffffffffffffffff", &[
        "nobody answers at this register: the address decoder behind the BAR has a hole",
        "the device has left the bus since MAGIC was read: power, clock, link (LnkSta, dmesg)",
    ]),
    row("dma.unmapped", "still translates", &["the IOTLB was not flushed", "the device translates by itself (ATS) and kept the translation"]),
    row("dma.unmapped", "DMA_FAULT in", &["the device ignores completions with an error status", "it never got to its DMA: bus mastering is off"]),
    row("", "all ones", GONE),
    row("", "gone", GONE),
    row("", "bus error", &[
        "the device refuses the access or does not complete it (unsupported request, completion timeout): look at its AER status",
        "its bus between the BAR and this register hangs, or answers with an error",
    ]),
    row("pci", "MSI-X", &["the bitstream has no MSI-X capability, or it is not in the list of capabilities"]),
    row("pci", "trained to", &["a slot or riser with fewer or slower lanes", "signal quality: reseat the board, look for correctable errors"]),
    row("pci", "uncorrectable", &["errors of an earlier run that nobody cleared", "the link or the device's completion logic"]),
    row("pci", "BAR", &["the BAR's size is set wrong in the endpoint's configuration", "the firmware of the machine has assigned no address to it"]),
    row("regs.identity", "MAGIC reads 0x00000000", &[
        "the logic behind BAR 0 is not loaded or is held in reset",
        "BAR 0 belongs to something else of the board: the register block is mapped elsewhere",
    ]),
    row("regs.identity", "MAGIC reads", &["another board or another bitstream", "the bytes are swapped between bus and logic"]),
    row("regs.identity", "specification 0.", &["VERSION is not filled in in this bitstream, or it is of a draft", "another board that has the same MAGIC"]),
    row("regs.identity", "is not known", &["the bitstream is of a later specification than this program"]),
    row("regs.scratch", "LIVENESS", &[
        "writes do not reach the logic, or reads come from a buffer before it",
        "the register is a constant in this bitstream",
    ]),
    row("regs.scratch", "halves are swapped", &["the word order of 64-bit accesses is wrong in the bus bridge"]),
    row("regs.scratch", "bytes are swapped", &["the byte order is wrong in the bus bridge"]),
    row("regs.scratch", "one half is lost", &["the bus bridge splits 64-bit accesses and drops a half"]),
    row("regs.scratch", "", &["a data line is stuck or shorted in the path to the logic", "byte enables are ignored"]),
    row("", "does not allow", &[
        "the bitstream was built with parameters outside of the specification, or this register is not filled in",
        "the board's parameters are read from memory that was not loaded",
    ]),
    row("", "STATUS.READY", HANGS),
    row("", "did nothing", NO_RESET),
    row("", "RESET_COUNT stays", NO_RESET),
    row("reset", "SCRATCH reads", &["the reset does not reach all of the logic"]),
    row("reset", "after a reset instead", NOT_RESET),
    row("", "POOL_BASE", ADDRESS),
    row("", "POOL_END", ADDRESS),
    row("regs.access", "after reset", NOT_RESET),
    row("regs.access", "was written", &["the register is a constant in this bitstream, or some of its bits are tied", "writes to this address are lost"]),
    row("regs.access", "read-only", &["the register is writable in this bitstream"]),
    row("regs.access", "was set", &["the bits that set and clear each other are wired to different registers"]),
    row("", "no DMA memory for", &[
        "the machine has too little free memory, or no free hugepages where they were asked for",
        "a limit of this process or its cgroup: RLIMIT_MEMLOCK, memory.max, hugetlb.max",
    ]),
    row("", "refused to enable", &[
        "the enable bit of POOL_CONTROL or PORTAL_CONTROL is a constant, or writes to it are lost",
        "the device takes a correct configuration for a wrong one: its error bit says which part",
    ]),
    row("lists", "are in use", &["POOL_CONTROL or POOL_STATUS does not go back to 0 when a pool is disabled"]),
    row("lists", "ERR_STATUS has", &["the device's error bits are not set and cleared as those of its pools"]),
    row("lists", "record", &["ERR_RECORD or ERR_ADDRESS is not latched with the first error, or is a constant"]),
    row("lists", "reported address", &["POOL_ERROR_ADDRESS is not latched with the error, or is a constant"]),
    row("lists", "outside of", FOREIGN),
    row("portal", "outside of", FOREIGN),
    row("", "past the start of object", &["the low address bits are lost or added to on the way through the list", "the device computes with another stride than it was given"]),
    row("", "out already", &[
        "the device grants a buffer twice: its read pointer is not advanced, or two portals take at once without arbitration",
        "a buffer was freed twice by who had it before",
    ]),
    row("lists", "that nobody gave it", STALE),
    row("lists", "former owner", STALE),
    row("lists.single", "took None", &[
        "the free did not reach the list: POOL_FREE is not decoded",
        "POOL_ALLOC is a constant in this bitstream",
    ]),
    row("lists.single", "took", &["the list's memory mixes its entries up: an entry is read before it was written, or from another place"]),
    row("", "hands out a buffer that nobody gave it", STALE),
    row("lists.single", "after the only buffer was taken", &[
        "the device hands a buffer out and keeps it: the list's read pointer is not advanced",
        "the count of buffers is not kept with the list",
    ]),
    row("lists", "POOL_AVAILABLE", &["the count of buffers is not kept with the list: off by one, or not cleared by reset"]),
    row("lists", "interrupts", IRQ),
    row("lists", "was due", &["the threshold is compared with the wrong count, or its event is not latched once"]),
    row("lists", "without its event", &["PORTAL_EVENT is not latched when the interrupt is sent, or is a constant"]),
    row("lists.capacity", "reported", &["the device does not check what is freed: RANGE, ALIGN, DOUBLE_FREE, OVERFLOW"]),
    row("", "did not happen within", &[
        "the doorbell did not reach the device: BAR 2, write combining, or a posted write that is stuck",
        "its DMA stands still: bus mastering is off, or it waits for a completion",
        "the device is slower than its CAP_TIMEOUT says",
    ]),
    row("", "is not in the acquire ring", &[
        "the entry was never written, or the status line overtook it: relaxed ordering, or a posted write that was lost",
        "the phase bit is that of another lap: the ring's size is taken wrong",
    ]),
    row("", "DMA_FAULT", &[
        "the IOMMU refused the access: dmesg (DMAR, AMD-Vi) has the address and the requester id",
        "the address lost its high bits on the way to the bus",
        "bus mastering is off",
    ]),
    row("portal.dma", "outside of its rings", &["bursts are not split at 4 KiB borders or at MPS", "the ring's size is taken wrong"]),
    row("portal", "a ring at", &["the device does not check the alignment of a ring's address, or does not report it in PORTAL_ERROR"]),
    row("portal", "", &["pointers of the rings run apart: head and tail wrap at different sizes"]),
    row("irq", "fired 0 times", IRQ),
    row("irq", "fired when", &["the vector's number is mixed up on the way to the MSI-X table", "an interrupt is raised that nobody asked for"]),
    row("irq", "times", &["an interrupt is sent again while it is served: edge and level are mixed up"]),
    row("irq", "IRQ_PENDING", &["the pending bit is not kept while a vector is disabled"]),
    row("irq", "while it was disabled", &["the enable bit is not looked at"]),
    row("owner", "ended by itself", &["another process can't open or drive the device: the message has what it said"]),
    row("owner", "did not say", &["the device or the machine is too slow for this rung, or the other process hangs"]),
    row("owner", "", &["the reset at open leaves something behind of an owner that died", "DMA of the dead owner's rings was still under way"]),
    row("soak", "", &["a race that shows under load only: look at the same run with fewer threads"]),
];

const GONE: &[&str] = &[
    "the board has left the bus: power, clock, or the link is down (LnkSta, dmesg)",
    "memory decoding is off, or the function sleeps in D3",
    "the logic behind the BAR is not loaded, or does not answer any more",
];
const HANGS: &[&str] = &[
    "the logic hangs in its reset: a clock is missing, or a PLL does not lock",
    "STATUS is a constant in this bitstream",
];
const NOT_RESET: &[&str] = &[
    "the reset does not reach this register or counter",
    "the bitstream has another register map than the specification's section that is named",
];
const NO_RESET: &[&str] = &[
    "the reset is not wired to the logic: FLR ends in the endpoint, or the RESET register is not decoded",
    "RESET_COUNT is a constant in this bitstream",
    "STATUS.READY is set before the reset is over",
];
const ADDRESS: &[&str] =
    &["addresses are narrower inside than CAP_ADDRESS says: the high bits are cut off"];
const FOREIGN: &[&str] = &[
    "addresses are cut off or mixed up in the list's memory",
    "the device hands out what it was never given: an entry that was not initialised",
];
const STALE: &[&str] = &[
    "the reset leaves the list's memory and its counts as they were",
    "somebody else gives buffers to the device",
];
const IRQ: &[&str] = &[
    "the message was lost: the MSI-X table entry is masked or not written, or interrupt remapping refuses it (dmesg)",
    "the device sends before its enable bit is set, or never",
];

const fn row(rung: &'static str, says: &'static str, causes: &'static [&'static str]) -> Row {
    Row { rung, says, causes }
}
