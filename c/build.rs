//! Gives the shared library its soname: its number is `ABI` of `src/abi.rs`, which a test holds.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libhwpool.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
