//! The descriptions that are shipped, as texts.

/// The descriptions that are shipped, each with the text of the register file that it names.
pub const SHIPPED: [(&str, &str); 5] = [
    (
        include_str!("../../describe/devices/small-fifo.toml"),
        include_str!("../../describe/devices/rdl/small-fifo.xml"),
    ),
    (
        include_str!("../../describe/devices/litex.toml"),
        include_str!("../../describe/devices/litex/csr.json"),
    ),
    (include_str!("../../describe/devices/axis-fifo.toml"), ""),
    (include_str!("../../describe/devices/axi-mailbox.toml"), ""),
    (include_str!("../../describe/devices/pulp-mailbox.toml"), ""),
];
