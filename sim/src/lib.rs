#![forbid(unsafe_code)]
//! Models.
