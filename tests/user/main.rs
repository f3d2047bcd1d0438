//! The vfio-user protocol on the wire: our server against scripted clients, our client against scripted servers, and
//! both against another implementation.

mod asked;
mod client;
mod deadlines;
mod fork;
mod interop;
mod order;
mod peer;
mod reconnect;
mod server;
mod table;
