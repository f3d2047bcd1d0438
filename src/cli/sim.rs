//! `hwpool sim`: the models in this program.

use clap::{Args, Subcommand};
use hwpool::sim::{MODELS, SimConfig};
use serde_json::json;

use super::Output;

/// The models in this program.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models and the options that their addresses take.
    List,
}

pub(crate) fn run(sim: Sim, output: Output) -> anyhow::Result<()> {
    match sim.action {
        Action::List => list(output),
    }
}

fn list(output: Output) -> anyhow::Result<()> {
    let options = SimConfig::KEYS;
    output.print(
        || {
            let models = MODELS
                .iter()
                .map(|m| json!({ "address": format!("sim:{}", m.name), "about": m.doc }));
            let options = options
                .iter()
                .map(|(key, about)| json!({ "key": key, "about": about }));
            json!({ "schema": "hwpool.sim/1", "models": models.collect::<Vec<_>>(),
                    "options": options.collect::<Vec<_>>() })
        },
        || {
            let models = MODELS
                .iter()
                .map(|m| format!("sim:{:<12} {}\n", m.name, m.doc));
            let options = options
                .iter()
                .map(|(key, about)| format!("  {key:<16} {about}\n"));
            let header = "\noptions, as in sim:bmu?seed=7&mode=threaded\n".to_string();
            models.chain([header]).chain(options).collect()
        },
    )
}
