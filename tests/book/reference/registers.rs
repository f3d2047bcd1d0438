//! The registers of each kind of device.

use std::fmt::Write as _;

use hwpool::devices::family::About;
use hwpool::devices::modules;
use hwpool::devices::reg::{Field, Register, Scope};

use super::cell;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Registers\n\n\
         The registers of each kind of device, as `hwpool regs list --driver NAME` prints them. `hwpool regs get` and `dump` decode them on a\n\
         device, and the ladder holds a device to their reset values and access.\n\n\
         | access | means |\n| --- | --- |\n\
         | RO | read only |\n\
         | RW | read and write |\n\
         | RE | a read has an effect: it takes something. `regs dump` leaves it out, `regs get` wants `--with-effect` |\n\
         | WO | write only |\n\
         | W1C | a written 1 clears the bit |\n\
         | W1S | a written 1 sets the bit |\n",
    );
    for about in modules::kinds() {
        page += &kind(about);
    }
    page
}

fn kind(about: &About) -> String {
    let ids: Vec<String> = about
        .ids
        .iter()
        .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"))
        .collect();
    let bars = about
        .bars
        .iter()
        .map(|(bar, bytes)| format!("BAR {bar} with at least {bytes:#x} bytes"));
    let ways: Vec<String> = about
        .ways
        .iter()
        .map(|way| format!("`{}`", way.backend))
        .collect();
    let mut text = format!(
        "\n## {0}\n\n{0}: {1}. Ids {2}; {3}. Backends of pools: {4}.\n\n\
         | place | bits | access | reset | register | meaning |\n| --- | --- | --- | --- | --- | --- |\n",
        about.title,
        about.doc,
        ids.join(", "),
        bars.collect::<Vec<_>>().join(", "),
        ways.join(", "),
    );
    for row in about.registers {
        text += &register(row);
    }
    text
}

fn register(row: &Register) -> String {
    let count = match (row.scope(), row.count()) {
        (Scope::Device, 1) => String::new(),
        (_, count) => format!("[{count}]"),
    };
    let reset = row
        .reset
        .map_or("varies".into(), |value| format!("{value:#x}"));
    let mut text = format!(
        "| {}:{:#07x} | {} | {} | {reset} | `{}`{count} | {} |\n",
        row.bar(),
        row.offset(),
        u32::from(row.width) * 8,
        row.access.mnemonic(),
        row.name,
        cell(&row.doc),
    );
    for field in row.fields.iter() {
        let _ = writeln!(
            text,
            "| | {} | | | · `{}` | {} |",
            bits(field),
            field.name,
            cell(&field.doc)
        );
    }
    text
}

fn bits(field: &Field) -> String {
    match field.low == field.high {
        true => field.low.to_string(),
        false => format!("{}:{}", field.high, field.low),
    }
}
