//! Building the kernel object and the agent that carries it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{toolchain, util};

/// The kernel object's target; every host that the agent supports is little-endian.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// Builds the kernel object to `target/bpf/whodunit-ebpf`, where the agent's build embeds it.
pub(crate) fn ebpf() -> Result<PathBuf> {
    let mut command = ebpf_cargo("build")?;
    util::check(command.arg("--release"))?;
    let built = ebpf_target_dir()
        .join(BPF_TARGET)
        .join("release/whodunit-ebpf");
    let product = util::product("bpf/whodunit-ebpf");
    util::write_if_changed(&product, &util::read(&without_dwarf(built)?)?, 0o644)?;
    Ok(product)
}

/// The object without its DWARF, which BTF was made from and which the agent would carry about
/// for nothing. Where there is no llvm-strip it is left in.
fn without_dwarf(object: PathBuf) -> Result<PathBuf> {
    let Some(strip) = toolchain::llvm_tool("llvm-strip") else {
        return Ok(object);
    };
    let stripped = object.with_file_name("whodunit-ebpf.stripped");
    let mut command = std::process::Command::new(strip);
    util::check(command.arg("-g").arg("-o").arg(&stripped).arg(&object))?;
    Ok(stripped)
}

/// A cargo subcommand on the kernel crate, with its toolchain and flags.
pub(crate) fn ebpf_cargo(subcommand: &str) -> Result<std::process::Command> {
    let toolchain = toolchain::installed()
        .context("no toolchain for the kernel object: run `cargo xtask setup`")?;
    let arch = std::env::consts::ARCH;
    let flags = [
        // aya's register layouts are those of the machine that runs the object.
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    let mut command = toolchain.cargo();
    command
        .args([
            subcommand,
            "-Z",
            "build-std=core",
            "--target",
            BPF_TARGET,
            "-p",
            "whodunit-ebpf",
        ])
        .arg("--target-dir")
        .arg(ebpf_target_dir())
        .args(util::locked())
        // 0x1f separates flags: a space could be inside one.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(command)
}

/// Another toolchain's files are kept apart, so that neither build throws the other's away.
fn ebpf_target_dir() -> PathBuf {
    util::product("ebpf-build")
}

/// Builds the agent to `target/release/whodunit`, statically linked so that one binary runs on
/// every distribution.
pub(crate) fn agent() -> Result<PathBuf> {
    static_program("whodunit", &["whodunit"])
}

/// Builds what tests put into virtual machines beside the agent, which must run there likewise:
/// `target/release/whodunit-asker`.
pub(crate) fn test_programs() -> Result<PathBuf> {
    // With the agent, whose dependencies it shares: by itself it would have them built once more.
    static_program("whodunit-asker", &["whodunit", "whodunit-asker"])
}

/// Builds packages, and leaves the program of one of them in `target/release`.
fn static_program(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let target = host_target()?;
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -Ctarget-feature=+crt-static");
    let mut command = util::cargo();
    // With --target the flags do not reach proc-macros, which cannot be static.
    command
        .args(["build", "--release", "--target", &target])
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .arg("--target-dir")
        .arg(util::target_dir())
        .args(util::locked())
        .env("RUSTFLAGS", flags.trim_start());
    util::check(&mut command)?;
    let built = util::target_dir().join(&target).join("release").join(name);
    let bytes = util::read(&built)?;
    if has_interpreter(&bytes) {
        bail!(
            "{} is not statically linked: it names a dynamic loader",
            built.display()
        );
    }
    let product = util::product("release").join(name);
    let mode = std::fs::metadata(&built)?.permissions().mode();
    util::write_if_changed(&product, &bytes, mode & 0o777)?;
    Ok(product)
}

/// The host's target triple.
fn host_target() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = util::capture(std::process::Command::new(rustc).arg("-vV"))
        .context("cannot run `rustc -vV`: is rustc on PATH?")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// Whether a 64-bit little-endian ELF file asks for a dynamic loader (a PT_INTERP header).
fn has_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = elf.get(at..at + size)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    let headers = || Some((number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?));
    let Some((offset, size, count)) = headers() else {
        return true;
    };
    (0..count).any(|index| {
        let at = usize::try_from(offset + index * size).unwrap_or(usize::MAX - 8);
        number(at, 4) == Some(u64::from(PT_INTERP))
    })
}
