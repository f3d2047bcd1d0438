//! `hwpool metrics`: how pools and a device fare, as OpenMetrics text or as a document.

use hwpool::metrics::{ChannelState, DeviceState, ListState, PoolState, Snapshot, Traffic};
use serde_json::{Map, Value, json};

use super::device::DEFAULT_DEVICE;
use super::output::Output;
use super::source::{self, Source};

/// Print how pools and devices fare, as text for Prometheus.
///
/// A device is looked at and not driven: nothing is written, reset or enabled, and no register is read whose read has an
/// effect.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hwpool metrics sim:bmu
  hwpool metrics unix:rx.sock --json")]
pub(crate) struct Metrics {
    /// Address of the device, or unix:PATH, where a program offers its pools.
    #[arg(value_name = "DEVICE", default_value = DEFAULT_DEVICE)]
    device: String,
}

pub(crate) fn run(args: &Metrics, output: Output) -> anyhow::Result<()> {
    let snapshot = Source::open(&args.device)?.read()?;
    output.print(
        || document(&source::name(&args.device), &snapshot),
        || snapshot.openmetrics(),
    )
}

fn document(source: &str, snapshot: &Snapshot) -> Value {
    let pools: Vec<Value> = snapshot.pools.iter().map(pool).collect();
    let devices: Vec<Value> = snapshot.devices.iter().map(device).collect();
    json!({ "schema": "hwpool.metrics/1", "source": source, "pools": pools, "devices": devices })
}

fn pool(pool: &PoolState) -> Value {
    json!({
        "pool": pool.name, "backend": pool.backend, "closed": pool.is_closed, "poisoned": pool.is_poisoned,
        "objects": pool.objects, "free": pool.free, "cached": pool.cached, "cache": pool.cache,
        "taken": pool.taken, "given": pool.given, "late": pool.late, "refills": pool.refills,
        "flushes": pool.flushes, "shortages": pool.shortages, "backend_takes": pool.backend_takes,
        "backend_gives": pool.backend_gives, "doorbells": pool.doorbells,
    })
}

fn device(device: &DeviceState) -> Value {
    json!({
        "device": device.name, "kind": device.kind, "fault": device.fault, "states": by_name(&device.states),
        "resets": device.resets, "pending_vectors": device.pending,
        "error_counts": by_name(&device.error_counts), "error_flags": by_name(&device.error_flags),
        "lists": device.lists.iter().map(list).collect::<Vec<_>>(),
        "channels": device.channels.iter().map(channel).collect::<Vec<_>>(),
        "traffic": device.traffic.as_ref().map(traffic),
    })
}

fn by_name<V: Clone + Into<Value>>(pairs: &[(String, V)]) -> Value {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| (name.clone(), value.clone().into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn list(list: &ListState) -> Value {
    json!({ "list": list.index, "capacity": list.capacity, "available": list.available, "low": list.low,
            "high": list.high })
}

fn channel(channel: &ChannelState) -> Value {
    json!({ "channel": channel.name, "list": channel.list, "state": channel.state, "given": channel.given,
            "taken": channel.taken })
}

fn traffic(traffic: &Traffic) -> Value {
    json!({ "register_reads": traffic.reads, "register_writes": traffic.writes, "doorbells": traffic.doorbells,
            "dma_read_bytes": traffic.dma_read_bytes, "dma_written_bytes": traffic.dma_write_bytes,
            "interrupts": traffic.interrupts })
}
