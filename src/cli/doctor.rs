//! `hwpool doctor`: is the machine ready, what is in the way, what to do.

use clap::Args;
use hwpool::host::doctor::{Question, Row, Verdict, examine};
use serde_json::{Value, json};

use super::arguments::{Machine, bdf, size};
use super::output::{Colour, Output};

/// Check what keeps hwpool from a function, and what to do about it.
///
/// Each check has its evidence, cause and remedy. Reads the kernel's files and changes nothing; opens no device. Exit code 1 if something blocks.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool doctor 0000:01:00.0 --pin 1G --quiet")]
pub(crate) struct Doctor {
    /// The function, such as 0000:01:00.0; without one the machine alone is checked.
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    /// Memory that shall be pinned for DMA, such as 64M.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pin: u64,
    /// Print only what is not well.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(args: &Doctor, output: Output) -> anyhow::Result<bool> {
    let device = args.device.as_deref().map(bdf).transpose()?;
    let question = Question {
        device,
        pin: args.pin,
    };
    let rows = examine(&args.machine.tree(), question).ok_or_else(|| {
        let name = args.device.as_deref().unwrap_or_default();
        anyhow::anyhow!("no PCI function {name}: `hwpool devices --all` lists those that there are")
    })?;
    let name = device.map(|bdf| bdf.to_string());
    output.print(
        || document(name.as_deref(), &rows, args.quiet),
        || text(&rows, args.quiet, output),
    )?;
    Ok(count(&rows, Verdict::Block) == 0)
}

fn count(rows: &[Row], verdict: Verdict) -> usize {
    rows.iter().filter(|row| row.verdict == verdict).count()
}

fn is_shown(row: &Row, quiet: bool) -> bool {
    !quiet || matches!(row.verdict, Verdict::Warn | Verdict::Block)
}

fn document(device: Option<&str>, rows: &[Row], quiet: bool) -> Value {
    let shown = rows.iter().filter(|row| is_shown(row, quiet));
    let row = |row: &Row| {
        json!({
            "id": row.id, "verdict": row.verdict.word(), "evidence": row.evidence, "cause": row.cause,
            "remedy": row.remedy,
        })
    };
    json!({
        "schema": "hwpool.doctor/1", "device": device, "rows": shown.map(row).collect::<Vec<_>>(),
        "ok": count(rows, Verdict::Ok), "warn": count(rows, Verdict::Warn),
        "block": count(rows, Verdict::Block), "unknown": count(rows, Verdict::Unknown),
    })
}

fn text(rows: &[Row], quiet: bool, output: Output) -> String {
    let mut text: String = rows
        .iter()
        .filter(|row| is_shown(row, quiet))
        .map(|row| row_text(row, output))
        .collect();
    let counts = [Verdict::Block, Verdict::Warn, Verdict::Ok, Verdict::Unknown];
    let counts = counts.map(|verdict| format!("{} {}", count(rows, verdict), verdict.word()));
    text += &format!("{}\n", counts.join(", "));
    text
}

fn row_text(row: &Row, output: Output) -> String {
    let colour = match row.verdict {
        Verdict::Ok => Colour::Good,
        Verdict::Warn | Verdict::Block => Colour::Bad,
        Verdict::Unknown => Colour::Pale,
    };
    let word = output.paint(colour, &format!("{:<7}", row.verdict.word()));
    let mut text = String::new();
    for (index, line) in row.evidence.iter().enumerate() {
        text += &match index {
            0 => format!("{word} {:<19} {line}\n", row.id),
            _ => format!("{:28}{line}\n", ""),
        };
    }
    text = output.fold(&text, 28);
    let cause = row
        .cause
        .iter()
        .map(|cause| format!("        cause: {cause}\n"));
    text.extend(cause.map(|line| output.fold(&line, 15)));
    // In one line each, so that they can be copied.
    text.extend(
        row.remedy
            .iter()
            .map(|remedy| format!("        do:    {remedy}\n")),
    );
    text
}
