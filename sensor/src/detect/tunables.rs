//! The mutable elements of ATT&CK's analytic AN0645, by its names.

/// What severities are weighed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// `TimerIntervalThreshold`: a timer that elapses more often than this, in seconds, weighs
    /// more. Of the timers that distributions ship nearly none does.
    pub timer_interval_threshold: u64,
    /// `ParentProcessID`: managers whose processes are judged. Empty for all; `1` is PID 1.
    pub parent_process_id: Vec<u32>,
    /// `UserContext`: uids whose processes are judged. Empty for all.
    pub user_context: Vec<u32>,
    /// `TimerCreationPath`: prefixes of paths in which changes are judged. Empty for all
    /// that managers read.
    pub timer_creation_path: Vec<String>,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            timer_interval_threshold: 300,
            parent_process_id: Vec::new(),
            user_context: Vec::new(),
            timer_creation_path: Vec::new(),
        }
    }
}

impl Tunables {
    /// Whether changes of `path` are judged.
    #[must_use]
    pub fn judges_path(&self, path: &str) -> bool {
        let prefixes = &self.timer_creation_path;
        prefixes.is_empty() || prefixes.iter().any(|prefix| is_below(path, prefix))
    }

    /// Whether a process that the manager with this pid started as `uid` is judged.
    #[must_use]
    pub fn judges_process(&self, manager: u32, uid: u32) -> bool {
        let lists = [
            (&self.parent_process_id, manager),
            (&self.user_context, uid),
        ];
        lists
            .into_iter()
            .all(|(list, value)| list.is_empty() || list.contains(&value))
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_narrow_what_is_judged() {
        let all = Tunables::default();
        assert!(all.judges_path("/home/a/.config/systemd/user/x.timer"));
        assert!(all.judges_process(77, 1000));
        let some = Tunables {
            parent_process_id: vec![1],
            user_context: vec![0],
            timer_creation_path: vec!["/etc/systemd/system/".to_owned()],
            ..Tunables::default()
        };
        assert!(some.judges_path("/etc/systemd/system/x.timer"));
        assert!(!some.judges_path("/etc/systemd/system.control/x.timer"));
        assert!(some.judges_process(1, 0));
        assert!(!some.judges_process(1, 1000));
        assert!(!some.judges_process(77, 0));
    }
}
