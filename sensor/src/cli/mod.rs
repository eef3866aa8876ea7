//! The command line: one file for each subcommand.

mod baseline;
mod config;
mod doctor;
mod exit;
mod logger;
mod run;
mod scan;
mod timers;
mod why;

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

/// Who caused this process? An eBPF sensor for process lineage through systemd.
#[derive(Debug, Parser)]
#[command(name = "whodunit", version, arg_required_else_help = true)]
struct Arguments {
    /// Say more about what the agent does, on stderr (-vv: even more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say only what goes wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this host and tell what happens
    Run(run::Arguments),
    /// Say what this host lets the agent see, what stays hidden, and how to fix it
    Doctor(doctor::Arguments),
    /// Check the configuration, or show it with all defaults
    Config(config::Arguments),
    /// Look once at what systemd would run here, who could change it, and what is odd about it
    Scan(scan::Arguments),
    /// Save the state of this host that is to be trusted, and compare with it
    Baseline(baseline::Arguments),
    /// List the timers of every manager of this host, and what `systemctl list-timers` leaves out
    Timers(timers::Arguments),
    /// Say who caused a unit, a file, a process or a finding
    Why(why::Arguments),
}

/// Parses the arguments, does what they ask for, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments {
        verbose,
        quiet,
        command,
    } = Arguments::parse();
    logger::start(verbose, quiet);
    let result = match command {
        Command::Run(arguments) => run::main(arguments),
        Command::Doctor(arguments) => doctor::main(&arguments),
        Command::Config(arguments) => config::main(&arguments),
        Command::Scan(arguments) => scan::main(&arguments),
        Command::Baseline(arguments) => baseline::main(&arguments),
        Command::Timers(arguments) => timers::main(&arguments),
        Command::Why(arguments) => why::main(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("whodunit: {error:#}");
            exit::code_of(&error)
        }
    }
}
