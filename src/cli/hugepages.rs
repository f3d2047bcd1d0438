//! `hwpool hugepages`: counted, reserved and released, by node and size.

use clap::{Args, Subcommand};
use hwpool::host::Kernel;
use hwpool::host::hugepages::size_text;
use hwpool::machine;
use serde_json::{Value, json};

use super::arguments::{Machine, size};
use super::output::Output;

/// Show, reserve and release hugepages by NUMA node and size.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool hugepages reserve 512 --size 2M --node 1")]
pub(crate) struct Hugepages {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how many there are and how many are free.
    #[command(after_help = "Example: hwpool hugepages status --json")]
    Status,
    /// Reserve more pages; all of them, or none.
    #[command(after_help = "Example: hwpool hugepages reserve 512 --size 2M --node 1")]
    Reserve(Change),
    /// Give free pages back to the system.
    #[command(after_help = "Example: hwpool hugepages release 512 --size 2M --dry-run")]
    Release(Change),
}

#[derive(Debug, Args)]
struct Change {
    /// How many pages.
    #[arg(value_name = "PAGES", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pages: u64,
    /// Size of a page: 2M, 1G, or another that status lists.
    #[arg(long, value_name = "SIZE", default_value = "2M", value_parser = size)]
    size: u64,
    /// NUMA node; the first, unless given.
    #[arg(long, value_name = "N")]
    node: Option<u32>,
    /// Print the write and don't make it.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Hugepages, output: Output) -> anyhow::Result<()> {
    let tree = args.machine.tree();
    let (change, up) = match &args.action {
        Action::Status => {
            let pools = machine::Hugepages::all(&tree);
            return output.print(|| document(&pools), || pools.iter().map(line).collect());
        }
        Action::Reserve(change) => (change, true),
        Action::Release(change) => (change, false),
    };
    let pool = machine::Hugepages::find(&tree, change.size, change.node)?;
    let wanted = pool.number_after(up, change.pages);
    output.line(format!("echo {wanted} > {}", pool.path()))?;
    let now = match (change.dry_run, up) {
        (true, _) => pool.clone(),
        (false, true) => pool.reserve(&tree, &mut Kernel::default(), change.pages)?,
        (false, false) => pool.release(&tree, &mut Kernel::default(), change.pages)?,
    };
    let write = json!({ "path": pool.path(), "value": wanted.to_string() });
    let all = || {
        let mut document = document(std::slice::from_ref(&now));
        document["write"] = write;
        document["written"] = (!change.dry_run).into();
        document["before"] = pool.total.into();
        document
    };
    output.print(all, || changed(&pool, &now, change.dry_run))
}

fn document(pools: &[machine::Hugepages]) -> Value {
    let pool = |pool: &machine::Hugepages| json!({ "node": pool.node, "bytes": pool.bytes, "total": pool.total, "free": pool.free, "surplus": pool.surplus });
    json!({ "schema": "hwpool.hugepages/1", "pools": pools.iter().map(pool).collect::<Vec<_>>() })
}

fn changed(before: &machine::Hugepages, now: &machine::Hugepages, dry_run: bool) -> String {
    let place = now.place();
    match dry_run {
        true => format!(
            "{place}{} pages, {} free; nothing was changed\n",
            now.total, now.free
        ),
        false => format!(
            "{place}{} pages before, {} now, {} free\n",
            before.total, now.total, now.free
        ),
    }
}

fn line(pool: &machine::Hugepages) -> String {
    let node = pool
        .node
        .map_or("all nodes".into(), |node| format!("node {node}"));
    let size = size_text(pool.bytes);
    format!(
        "{node:<10} {size:<8} {} pages, {} free, {} surplus\n",
        pool.total, pool.free, pool.surplus
    )
}
