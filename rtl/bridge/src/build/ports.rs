//! The ports of a Verilated design, out of the header that Verilator writes.
//!
//! Its macros have been the same from 5.006 to 5.048: `VL_IN8(&clk,0,0);`, `VL_OUT64(&q,63,0);`, `VL_INW(&w,127,0,4);`.
//! A port that is an array has no plain name there and is left out.

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in Verilog.
    pub name: String,
    /// Its name in C++.
    pub(super) member: String,
    /// Bits.
    pub bits: u32,
    /// Who drives it.
    pub direction: Direction,
}

/// Which way a port goes, as the design sees it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Into the design.
    Input,
    /// Out of the design, or both ways.
    Output,
}

/// Finds the ports in a header, in its order.
pub(super) fn ports(header: &str) -> Vec<Port> {
    header.lines().filter_map(port).collect()
}

fn port(line: &str) -> Option<Port> {
    let (kind, rest) = line.trim().split_once("(&")?;
    let direction = match kind
        .strip_prefix("VL_")?
        .trim_end_matches(|c: char| c == 'W' || c.is_ascii_digit())
    {
        "IN" => Direction::Input,
        "OUT" | "INOUT" => Direction::Output,
        _ => return None,
    };
    let mut parts = rest.strip_suffix(");")?.split(',');
    let (member, high, low) = (parts.next()?, parts.next()?, parts.next()?);
    let (high, low): (u32, u32) = (high.parse().ok()?, low.parse().ok()?);
    let plain = member
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| Port {
        name: decoded(member),
        member: member.into(),
        bits: high.abs_diff(low) + 1,
        direction,
    })
}

/// Takes back Verilator's encoding: `__` and what C++ can't have in a name are `__0` and two hexadecimal digits.
fn decoded(member: &str) -> String {
    let mut name = String::new();
    let mut rest = member;
    while let Some(at) = rest.find("__0") {
        let code = rest
            .get(at + 3..at + 5)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(code) = code else { break };
        name.push_str(&rest[..at]);
        name.push(char::from(code));
        rest = &rest[at + 5..];
    }
    name + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_every_version_is_read() {
        let header = "    VL_IN8(&clk,0,0);\n    VL_IN(&a___05Fb,31,0);\n    VL_OUTW(&wide,127,0,4);\n    \
                      VL_OUT64(&q,63,0);\n    VL_IN8((&arr)[4],7,0);\n    Vt___024root* rootp;\n";
        let found = ports(header);
        let found: Vec<_> = found
            .iter()
            .map(|port| {
                (
                    port.name.as_str(),
                    port.member.as_str(),
                    port.bits,
                    port.direction,
                )
            })
            .collect();
        let (input, output) = (Direction::Input, Direction::Output);
        assert_eq!(
            found,
            [
                ("clk", "clk", 1, input),
                ("a__b", "a___05Fb", 32, input),
                ("wide", "wide", 128, output),
                ("q", "q", 64, output),
            ]
        );
    }
}
