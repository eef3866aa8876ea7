//! whodunit: who caused this process?
//!
//! The agent's rooms, in the order data moves through them: [`kernel`] (probes, records) →
//! [`lineage`] (processes) → [`correlate`] (activations, causes) → [`detect`] (findings) →
//! [`emit`] (encoders, sinks). [`host`], [`systemd`] and [`content`] feed facts in from the
//! side, [`store`] those of earlier runs; [`event`]
//! is the vocabulary they share; [`agent`] puts it all together, [`cli`] is how people call it. See `docs/ARCHITECTURE.md`.

pub mod agent;
pub mod cli;
pub mod config;
pub mod content;
pub mod correlate;
pub mod detect;
pub mod emit;
pub mod event;
pub mod host;
pub mod kernel;
pub mod lineage;
pub mod store;
pub mod systemd;
