//! Which compiler and linker build the kernel object.
//!
//! `core` has to be built for the BPF target, so the compiler's library source is needed. Most
//! developers have it as a component of rustup's nightly; a machine that cannot reach rustup's
//! servers gets Debian's matched pair of compiler and source instead. Either way the linker is
//! bpf-linker, and its LLVM must be at least as new as the compiler's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Package, package};
use crate::util;

/// The release of bpf-linker that the kernel object is built and tested with.
const LINKER_VERSION: &str = "0.13.0";
/// The minor number of the oldest Rust 1.x that builds the workspace.
const MIN_RUST_MINOR: u32 = 95;
/// The LLVM that bpf-linker is built against, when it has to be built.
const LINKER_LLVM: u32 = 22;
/// Where Debian puts that LLVM's `llvm-config`.
const LLVM_BIN: &str = "/usr/lib/llvm-22/bin";

/// Debian's compiler and library source, made for building its browsers.
const DEBIAN_COMPILER: &[Package] = &[
    package("rustc-web", "the compiler for the kernel object"),
    package("rust-web-src", "source of `core`, built for the BPF target"),
    package("cargo-web", "the cargo that matches rustc-web"),
    CLIPPY,
];
const CLIPPY: Package = package("rust-web-clippy", "lints of the kernel object");

/// What building bpf-linker takes.
const LINKER_BUILD: &[Package] = &[
    package("g++", "bpf-linker's build compiles C++ against LLVM"),
    package("llvm-22-dev", "bpf-linker links LLVM"),
    package(
        "libpolly-22-dev",
        "llvm-config lists it among LLVM's libraries",
    ),
    package("zlib1g-dev", "LLVM links it"),
    package("libzstd-dev", "LLVM links it"),
    package("libxml2-dev", "LLVM links it"),
];

/// A compiler that can build the kernel object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// rustup's nightly with the `rust-src` component.
    Nightly,
    /// `rustc-web`, `rust-web-src` and `cargo-web`.
    Debian,
}

/// A compiler and a linker that fit each other.
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    linker: PathBuf,
}

impl Toolchain {
    /// A command of this toolchain, with what `cargo xtask` and rustup put into the environment
    /// taken out: it would point the other cargo at the wrong compiler and libraries.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = match self.compiler {
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo"]);
                command
            }
            Compiler::Debian => Command::new("/usr/bin/cargo"),
        };
        let confusing = |name: &str| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || matches!(
                    name,
                    "CARGO"
                        | "CARGO_BUILD_RUSTC"
                        | "CARGO_BUILD_TARGET"
                        | "CARGO_ENCODED_RUSTFLAGS"
                        | "CARGO_TARGET_DIR"
                        | "LD_LIBRARY_PATH"
                        | "RUSTC"
                        | "RUSTC_WORKSPACE_WRAPPER"
                        | "RUSTC_WRAPPER"
                        | "RUSTDOC"
                        | "RUSTFLAGS"
                        | "RUSTUP_TOOLCHAIN"
                )
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(confusing) {
                command.env_remove(name);
            }
        }
        if self.compiler == Compiler::Debian {
            command
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1");
            // cargo looks for subcommands (clippy) and their drivers on PATH.
            command.env("PATH", path_with(Path::new("/usr/bin")));
        }
        command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        command.current_dir(util::root());
        command
    }

    /// Whether the toolchain comes with clippy.
    pub(crate) fn has_clippy(&self) -> bool {
        match self.compiler {
            Compiler::Nightly => {
                util::capture(self.cargo().args(["clippy", "--version"])).is_some()
            }
            Compiler::Debian => Path::new("/usr/bin/clippy-driver").exists(),
        }
    }
}

/// The toolchain on this machine, if one is complete.
pub(crate) fn installed() -> Option<Toolchain> {
    [Compiler::Nightly, Compiler::Debian]
        .into_iter()
        .find_map(|compiler| {
            let linker = linker_for(llvm_of(compiler)?)?;
            Some(Toolchain { compiler, linker })
        })
}

/// Installs what a toolchain lacks. Says whether it installed anything.
pub(crate) fn provision() -> Result<bool> {
    match installed() {
        None => install().map(|()| true),
        // Lints are not worth failing for where the package is not offered.
        Some(toolchain)
            if toolchain.compiler == Compiler::Debian
                && !toolchain.has_clippy()
                && apt::candidate(CLIPPY.name).is_some() =>
        {
            apt::install(&[CLIPPY], None).map(|()| true)
        }
        Some(_) => Ok(false),
    }
}

/// Completes a toolchain where [`installed`] finds none.
fn install() -> Result<()> {
    let nightly = llvm_of(Compiler::Nightly).is_some_and(|llvm| llvm <= LINKER_LLVM);
    if !nightly && llvm_of(Compiler::Debian).is_none() {
        let packages = apt::missing(DEBIAN_COMPILER);
        if !apt::available() {
            let names = DEBIAN_COMPILER
                .iter()
                .chain(LINKER_BUILD)
                .map(|package| package.name);
            bail!(
                "this machine has no apt; install rustup's nightly with rust-src and bpf-linker \
                 {LINKER_VERSION}, or the equivalent of: {}",
                names.collect::<Vec<_>>().join(" ")
            );
        }
        apt::update()?;
        let offered = apt::candidate("rust-web-src");
        if offered
            .as_deref()
            .and_then(minor)
            .is_none_or(|minor| minor < MIN_RUST_MINOR)
        {
            bail!(
                "no compiler for the kernel object: this machine's apt sources have no \
                 rust-web-src 1.{MIN_RUST_MINOR} or newer. Run `rustup toolchain install nightly --component rust-src`"
            );
        }
        apt::install(&packages, None)?;
    }
    let compiler = if nightly {
        Compiler::Nightly
    } else {
        Compiler::Debian
    };
    let llvm = llvm_of(compiler).context(
        "rustc-web is installed, but /usr/bin/rustc or its library source does not work: run \
         `/usr/bin/rustc -vV` to see why",
    )?;
    if linker_for(llvm).is_none() {
        build_linker()?;
    }
    if linker_for(llvm).is_none() {
        bail!("bpf-linker {LINKER_VERSION} was built, but its LLVM is older than rustc's ({llvm})");
    }
    Ok(())
}

/// The LLVM major version of a compiler that is there with its library source.
fn llvm_of(compiler: Compiler) -> Option<u32> {
    let rustc = |arguments: &[&str]| {
        let mut command = match compiler {
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command
                    .args(["run", "nightly", "rustc"])
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
            Compiler::Debian => Command::new("/usr/bin/rustc"),
        };
        // `cargo run` points it at the libraries of the toolchain that runs xtask.
        command.args(arguments).env_remove("LD_LIBRARY_PATH");
        util::capture(&mut command)
    };
    let sysroot = rustc(&["--print", "sysroot"])?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    if !source.is_file() {
        return None;
    }
    if compiler == Compiler::Debian && !Path::new("/usr/bin/cargo").is_file() {
        return None;
    }
    let version = rustc(&["-vV"])?;
    major(
        version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))?,
    )
}

/// A tool of that LLVM, if it is installed.
pub(crate) fn llvm_tool(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(LLVM_BIN).join(name)).filter(|path| path.is_file())
}

/// A bpf-linker of the right version whose LLVM is at least `llvm`.
fn linker_for(llvm: u32) -> Option<PathBuf> {
    let ours = linker_root().ok()?.join("bin/bpf-linker");
    util::find("bpf-linker")
        .into_iter()
        .chain([ours])
        .find(|linker| {
            let run = |argument: &str| {
                let mut command = Command::new(linker);
                command.env_remove("LD_LIBRARY_PATH").arg(argument);
                // Inputs and output are required, and not looked at when a version is asked for.
                util::capture(command.args(["-o", "/dev/null", "/dev/null"]))
            };
            let version = run("--version").unwrap_or_default();
            let its_llvm = run("--llvm-args=--version").unwrap_or_default();
            let its_llvm = its_llvm
                .split_once("LLVM version ")
                .and_then(|(_, rest)| major(rest));
            version.trim() == format!("bpf-linker {LINKER_VERSION}")
                && its_llvm.is_some_and(|its_llvm| its_llvm >= llvm)
        })
}

/// Builds bpf-linker into the cache: ~/.cargo/bin stays the developer's.
fn build_linker() -> Result<()> {
    apt::install(&apt::missing(LINKER_BUILD), None)?;
    println!("building bpf-linker {LINKER_VERSION}: it links the kernel object (about a minute)");
    let mut command = util::cargo();
    command
        .args([
            "install",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
            "--locked",
            "--quiet",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{LINKER_LLVM}"),
        ])
        .arg("--root")
        .arg(linker_root()?)
        .env("PATH", path_with(Path::new(LLVM_BIN)))
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("CARGO_TARGET_DIR");
    util::check_quiet(&mut command)
}

fn linker_root() -> Result<PathBuf> {
    let name = format!("bpf-linker-{LINKER_VERSION}-llvm-{LINKER_LLVM}");
    Ok(util::cache_dir()?.join("tools").join(name))
}

/// PATH with one directory put first.
fn path_with(first: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    // Only a directory name with a colon could fail here, and neither ours nor those of PATH have one.
    std::env::join_paths(paths).unwrap_or(path)
}

/// The second number of a version.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

/// The leading number of a version.
fn major(version: &str) -> Option<u32> {
    version.trim().split('.').next()?.parse().ok()
}
