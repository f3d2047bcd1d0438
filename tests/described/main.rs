//! The driver of described devices over their model: each part of a description passes the family's suite.

// The descriptions that the model's own tests are made of.
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../../sim/tests/described/build.rs"]
mod build;
mod faults;
mod opening;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../suite/mod.rs"]
mod suite;
mod variants;
