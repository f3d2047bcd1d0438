//! The C++ between a design and this program: a file that is the same for all, with the table of ports filled in.

use std::fmt::Write as _;

use super::ports::{Direction, Port};

pub(super) const TEMPLATE: &str = include_str!("shim.cpp");
pub(super) const HOST: &str = include_str!("host.sv");

/// Returns the shim of a design with these ports.
pub(super) fn source(top: &str, ports: &[Port]) -> String {
    let mut rows = String::new();
    for port in ports {
        let input = u8::from(port.direction == Direction::Input);
        let _ = writeln!(
            rows,
            "    *at++ = {{\"{}\", (void*)&d.{}, {}, {input}}};",
            escaped(&port.name),
            port.member,
            port.bits
        );
    }
    TEMPLATE
        .replace("@PORTS@", &rows)
        .replace("@COUNT@", &ports.len().to_string())
        .replace("@TOP@", top)
}

/// Returns the Verilog that shows the host's accesses in waveforms.
pub(super) fn host(top: &str) -> String {
    HOST.replace("@TOP@", top)
}

/// A name with an escape may hold what ends a text of C++.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}
