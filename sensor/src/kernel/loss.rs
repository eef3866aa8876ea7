//! Records that the kernel side could not send.

use aya::maps::{MapData, PerCpuArray};
use whodunit_common::Kind;

use crate::event::LossCount;

/// Reads the loss counters and says what came since the last time.
pub struct Losses {
    counters: PerCpuArray<MapData, u64>,
    reported: [u64; Kind::COUNT as usize],
}

impl Losses {
    pub(crate) fn new(counters: PerCpuArray<MapData, u64>) -> Self {
        Self {
            counters,
            reported: [0; Kind::COUNT as usize],
        }
    }

    /// What was lost since the last call, by kind of record.
    pub fn take(&mut self) -> Vec<LossCount> {
        let mut losses = Vec::new();
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let Ok(per_cpu) = self.counters.get(&(index as u32), 0) else {
                continue;
            };
            let total: u64 = per_cpu.iter().sum();
            let count = total.saturating_sub(self.reported[index]);
            self.reported[index] = total;
            if count > 0 {
                losses.push(LossCount {
                    stage: "kernel",
                    kind: name(kind),
                    count,
                });
            }
        }
        losses
    }
}

/// The word used in output for a kind of record.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Exec => "exec",
        Kind::ManagedExec => "managed-exec",
        Kind::Exit => "exit",
        Kind::Change => "change",
        Kind::Message => "message",
        Kind::Connect => "connect",
        Kind::Signal => "signal",
    }
}
