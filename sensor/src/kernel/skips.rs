//! Programs that the kernel did not run, because they would have interrupted themselves.
//!
//! A tracing program is skipped where it is in the midst of itself on the same CPU. Where tracepoints
//! and functions can be preempted within it, that is what another process's event meets:
//! <https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/trampoline.c#L904>.

use std::{
    fs,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use crate::event::LossCount;

/// From this version on, as `(major, minor)`, tracepoints let go of the CPU.
const PREEMPTIBLE: (u32, u32) = (6, 19);

/// Whether tracepoints of this kernel can be preempted, so that their programs need spares. Where it
/// cannot be told they get them.
pub(super) fn are_likely() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(&release).is_none_or(|version| version >= PREEMPTIBLE)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Counts how often programs were skipped.
#[derive(Debug, Default)]
pub struct Skips(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    hook: &'static str,
    /// What the kernel says of the program's descriptor, which lives as long as it is attached.
    info: String,
    told: u64,
}

impl Skips {
    /// Counts for a hook by this program, in place of another that was given for it before.
    pub(super) fn watch(&mut self, hook: &'static str, program: BorrowedFd<'_>) {
        self.0.retain(|watched| watched.hook != hook);
        self.0.push(Watched {
            hook,
            info: format!("/proc/self/fdinfo/{}", program.as_raw_fd()),
            told: 0,
        });
    }

    /// How often each was skipped since the last call: at most so many facts were missed, for a spare
    /// is also skipped where it had nothing to do.
    pub fn take(&mut self) -> Vec<LossCount> {
        let mut losses = Vec::new();
        for watched in &mut self.0 {
            // Not there before Linux 5.12.
            let info = fs::read_to_string(&watched.info).unwrap_or_default();
            let total = skipped(&info).unwrap_or(watched.told);
            let count = total.saturating_sub(watched.told);
            watched.told = total;
            if count > 0 {
                losses.push(LossCount {
                    stage: "skipped",
                    kind: watched.hook,
                    count,
                });
            }
        }
        losses
    }
}

fn skipped(info: &str) -> Option<u64> {
    let mut lines = info.lines();
    let count = lines.find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says() {
        let info = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nrecursion_misses:\t42\n";
        assert_eq!(skipped(info), Some(42));
        assert_eq!(skipped("prog_type:\t26\n"), None);
        assert_eq!(version("7.0.3-1-cloud-amd64\n"), Some((7, 0)));
        assert_eq!(version("6.12.48+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("strange"), None);
        assert!(PREEMPTIBLE > (6, 18) && PREEMPTIBLE <= (7, 0));
    }
}
