//! Routes through network interfaces.

use std::net::Ipv6Addr;

use procfs_core::FromRead;
use procfs_core::net::RouteEntries;

use super::Tree;

const IPV4: &str = "/proc/net/route";
const TRIE: &str = "/proc/net/fib_trie";
const IPV6: &str = "/proc/net/ipv6_route";

/// Returns where the routes through an interface lead, by both tables (proc(5)); multicast and link-local ones tell
/// nothing.
///
/// A table that is not understood may have any route, so it counts as one.
pub(crate) fn routes(tree: &Tree, interface: &str) -> Vec<String> {
    let mut found = ipv4(&tree.text(IPV4).unwrap_or_default(), interface);
    let ipv6 = tree.text(IPV6).unwrap_or_default();
    found.extend(ipv6.lines().filter_map(|line| ipv6_route(line, interface)));
    found
}

/// Returns the numbers of the tables beside the main one that have routes of IPv4 (ip-rule(8)). The kernel lists what is in
/// them without the interfaces; of IPv6 it lists all tables with them.
pub(crate) fn other_tables(tree: &Tree) -> Vec<u32> {
    let text = tree.text(TRIE).unwrap_or_default();
    let mut tables = Vec::new();
    let mut table: Option<u32> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            table = name
                .strip_prefix("Id ")
                .and_then(|number| number.parse().ok());
        } else if line.split_whitespace().any(|word| word == "UNICAST") {
            tables.extend(table.take());
        }
    }
    tables
}

fn ipv4(table: &str, interface: &str) -> Vec<String> {
    let Ok(entries) = RouteEntries::from_read(table.as_bytes()) else {
        return vec![format!("an unknown place ({IPV4} is not as expected)")];
    };
    let ours = entries.0.iter().filter(|entry| entry.iface == interface);
    ours.map(|entry| match u32::from(entry.mask).count_ones() {
        0 => "default".into(),
        prefix => format!("{}/{prefix}", entry.destination),
    })
    .collect()
}

/// Reads `DESTINATION PREFIX SOURCE PREFIX GATEWAY METRIC REFS USE FLAGS IFACE`, numbers in hexadecimal.
fn ipv6_route(line: &str, interface: &str) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    if fields.get(9) != Some(&interface) {
        return None;
    }
    let address = u128::from_str_radix(fields[0], 16).map(Ipv6Addr::from);
    let prefix = u8::from_str_radix(fields[1], 16);
    let (Ok(address), Ok(prefix)) = (address, prefix) else {
        return Some(format!("an unknown place ({IPV6} has `{line}`)"));
    };
    match prefix {
        _ if address.is_multicast() || address.is_unicast_link_local() => None,
        0 => Some("default (IPv6)".into()),
        _ => Some(format!("{address}/{prefix}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    fn found(ipv4: &str, ipv6: &str) -> Vec<String> {
        let machine = FakeMachine::new();
        machine.write(IPV4, ipv4);
        machine.write(IPV6, ipv6);
        routes(&machine.tree(), "eth1")
    }

    #[test]
    fn routes_of_both_tables_are_those_of_the_interface() {
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let (net, mask) = (word([192, 0, 2, 0]), word([255, 255, 255, 0]));
        let ipv4 = format!(
            "{HEAD}eth1 00000000 010200C0 0003 0 0 4294967295 00000000 0 0 0\n\
             eth1 {net} 00000000 0001 0 0 0 {mask} 0 0 0\neth10 {net} 00000000 0001 0 0 0 {mask} 0 0 0\n"
        );
        let zero = "0".repeat(32);
        let ipv6 = |address: &str, prefix: &str, interface: &str| {
            format!(
                "{address:0<32} {prefix} {zero} 00 {zero} 00000100 00000001 00000000 00000001 {interface}\n"
            )
        };
        let ipv6 = ipv6("20010db8", "20", "eth1")
            + &ipv6("", "00", "eth1")
            + &ipv6("fe80", "40", "eth1")
            + &ipv6("ff", "08", "eth1")
            + &ipv6("20010db9", "20", "lo");
        assert_eq!(
            found(&ipv4, &ipv6),
            ["default", "192.0.2.0/24", "2001:db8::/32", "default (IPv6)"]
        );
    }

    #[test]
    fn tables_beside_the_main_one_are_known_by_number() {
        let machine = FakeMachine::new();
        assert!(other_tables(&machine.tree()).is_empty());
        let leaf = |kind| {
            format!("  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /8 universe {kind}\n")
        };
        let unicast = leaf("UNICAST");
        let local = leaf("LOCAL");
        let text =
            format!("Id 7:\n{local}Id 100:\n{unicast}{unicast}Main:\n{unicast}Local:\n{local}");
        machine.write(TRIE, text);
        assert_eq!(other_tables(&machine.tree()), [100]);
    }

    #[test]
    fn what_is_not_understood_counts_as_a_route() {
        for (ipv4, ipv6) in [("head\neth0 x\n", ""), (HEAD, "x 00 0 00 0 0 0 0 0 eth1\n")] {
            let found = found(ipv4, ipv6);
            assert!(found[0].contains("an unknown place"), "{found:?}");
        }
        assert!(found("", "").is_empty(), "there is no network");
    }
}
