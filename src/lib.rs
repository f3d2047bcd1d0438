//! hwpool
