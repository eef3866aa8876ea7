//! A client of the manager as a Rust program has one, by zbus; and a stand-in for polkit.
//!
//! ```text
//! asker timer|transient|start|enable UNIT
//! asker polkit
//! ```
//!
//! It runs in virtual machines beside the agent, see `tests/requests/run.sh`.

mod ask;
mod polkit;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        match arguments[..] {
            ["polkit"] => polkit::serve().await,
            [what, unit] => ask::ask(what, unit).await,
            _ => bail!("asker timer|transient|start|enable UNIT, or asker polkit"),
        }
    })
}
