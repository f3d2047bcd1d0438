//! The machine around a device, on directories that look like machines: what is there, what is in the way, binding and
//! the way back, whenever the process dies.

mod binding;
mod cli;
mod doctor;
#[path = "../rig/documents.rs"]
mod documents;
mod findings;
mod golden;
mod kernel;
mod machine;
mod orders;
mod pages;
mod reads;
mod recovery;
mod refusals;
mod rivals;
mod rules;
