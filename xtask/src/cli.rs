//! The command line: one variant for each task, and which module does it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{bench, compile, run, setup, test, vm};

/// Tasks of the whodunit repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing on this machine to build and test.
    Setup {
        /// Also what the virtual machines need.
        #[arg(long)]
        vm: bool,
    },
    /// Build the kernel object and the static agent, target/release/whodunit.
    Build {
        /// Only the kernel object, target/bpf/whodunit-ebpf.
        #[arg(long)]
        ebpf_only: bool,
        /// Also what tests put into virtual machines, target/release/whodunit-asker.
        #[arg(long, conflicts_with = "ebpf_only")]
        tests: bool,
    },
    /// Build, then run the agent as root.
    Run {
        /// Arguments of `whodunit run`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build, then run every check and test; ends with one line of totals.
    Test {
        /// Run only the tests whose name contains this, and no static checks.
        filter: Option<String>,
    },
    /// Measure what an exec costs, beside auditd and bpftrace in the same run.
    Bench {
        /// Times that each of them watches, in turn.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Programs started while it does.
        #[arg(long, default_value_t = 2000)]
        execs: u32,
    },
    /// Run one script against the agent in a virtual machine.
    ///
    /// Exit status: 0 the script succeeded, 1 it failed, 2 the harness failed.
    Vm(VmArgs),
}

#[derive(Args)]
struct VmArgs {
    /// Debian suite to boot: bullseye, bookworm, trixie or sid; bookworm-host or trixie-host, which have
    /// the packages of a host in use.
    suite: String,
    /// Script run as root with bash; its directory is /scenario in the guest.
    #[arg(long)]
    script: PathBuf,
    /// Directory for the events, logs, and what the script leaves in $WHODUNIT_OUT.
    #[arg(long)]
    out: PathBuf,
    /// Times to boot with the same disks; in each $WHODUNIT_BOOT says which one it is. The script
    /// may end any but the last as it likes, by a cut of the power too.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    boots: u32,
    /// Kernel package in place of the suite's own, as PACKAGE or PACKAGE/SUITE.
    #[arg(long)]
    kernel: Option<String>,
    /// Seconds from power-on to power-off, of each boot.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Agent to run; target/release/whodunit when not given.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// One more file for /scenario; may be repeated.
    #[arg(long = "add")]
    added: Vec<PathBuf>,
    /// One more argument of `whodunit run`; may be repeated.
    #[arg(long = "arg", allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Parses the command line and does the task.
pub(crate) fn dispatch() -> Result<ExitCode> {
    match Cli::parse().task {
        Task::Setup { vm } => {
            if !setup::provision(vm)? {
                println!("everything is in place");
            }
        }
        Task::Build { ebpf_only, tests } => {
            setup::provision(false)?;
            compile::ebpf()?;
            if !ebpf_only {
                compile::agent()?;
            }
            if tests {
                compile::test_programs()?;
            }
        }
        Task::Run { args } => return run::run(&args),
        Task::Test { filter } => return test::run(filter.as_deref()),
        Task::Bench { rounds, execs } => bench::run(rounds, execs)?,
        Task::Vm(args) => {
            let outcome = vm::run(&vm::Job {
                suite: args.suite,
                kernel: args.kernel,
                script: args.script,
                out: args.out,
                boots: args.boots,
                binary: args.binary,
                added: args.added,
                sensor_args: args.args,
                timeout: Duration::from_secs(args.timeout),
            })?;
            return Ok(ExitCode::from(u8::from(outcome.script_status != 0)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
