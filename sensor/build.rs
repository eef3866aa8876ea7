//! Finds the kernel side's object for `include_bytes!`.

use std::path::PathBuf;

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = std::env::var_os("WHODUNIT_EBPF_OBJECT").map_or_else(
        || manifest.join("../target/bpf/whodunit-ebpf"),
        PathBuf::from,
    );
    println!("cargo:rerun-if-env-changed=WHODUNIT_EBPF_OBJECT");
    println!("cargo:rerun-if-changed={}", object.display());
    assert!(
        object.is_file(),
        "{} is missing: build the kernel side once with `cargo xtask build`, \
         or name an object in WHODUNIT_EBPF_OBJECT",
        object.display()
    );
    println!("cargo:rustc-env=WHODUNIT_EBPF_OBJECT={}", object.display());
}
