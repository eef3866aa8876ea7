//! What is done to the agent itself.

use super::catalogue::AGENT_TAMPERED;
use crate::event::{
    Actor, Cause, CauseRequest, Finding, Grade, LinkKind, Login, Process, Severity, Timestamp,
};

/// The agent's unit, as packages install it.
pub const AGENT_UNIT: &str = "whodunit.service";

/// Somebody who is not its manager sent the agent a signal. Severity: medium for those that ask
/// it to end, high for all others.
#[must_use]
pub fn agent_signalled(author: &Actor, time: Timestamp, signal: &str) -> Finding {
    let asks = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"].contains(&signal);
    let process = &author.process;
    Finding {
        message: format!(
            "{}({}) sent the agent {signal}, past its manager",
            process.name(),
            process.key.tgid
        ),
        severity: if asks {
            Severity::Medium
        } else {
            Severity::High
        },
        grade: Grade::Certain,
        process: process.clone(),
        ancestry: author.ancestry.clone(),
        cause: vec![Cause {
            link: LinkKind::Asked,
            time,
            grade: Grade::Certain,
            actor: Some(author.clone()),
            file: None,
            request: Some(CauseRequest {
                method: signal.to_owned(),
                unit: None,
                login: Login::default(),
            }),
            unit: None,
            event_uid: None,
        }],
        ..nobody(time)
    }
}

/// The agent before this one, in the same boot, ended after `since` without saying so.
#[must_use]
pub fn agent_cut_off(since: Timestamp, now: Timestamp) -> Finding {
    let said = |time: Timestamp| {
        let wall = i128::from(time.wall);
        jiff::Timestamp::from_nanosecond(wall)
            .map_or_else(|_| wall.to_string(), |time| format!("{time:.0}"))
    };
    Finding {
        message: format!(
            "the agent before this one was killed, or failed, between {} and {}",
            said(since),
            said(now)
        ),
        ..nobody(now)
    }
}

fn nobody(time: Timestamp) -> Finding {
    Finding {
        rule: &AGENT_TAMPERED,
        title: AGENT_TAMPERED.title.to_owned(),
        message: String::new(),
        severity: Severity::Medium,
        grade: Grade::Probable,
        process: std::sync::Arc::new(Process::unknown(time)),
        ancestry: Vec::new(),
        systemd: None,
        timer: None,
        cause: Vec::new(),
        related: Vec::new(),
        traits: Vec::new(),
    }
}
