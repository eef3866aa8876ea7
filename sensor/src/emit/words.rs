//! The words of the vocabulary, where its types have none of their own.

use std::fmt;

use crate::event::{Asked, Health, Verb};

/// What a change is called in `unmapped.change.verb`.
#[must_use]
pub fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Write => "write",
        Verb::Rename => "rename",
        Verb::Link => "link",
        Verb::Symlink => "symlink",
        Verb::Unlink => "remove",
        Verb::Mkdir => "mkdir",
        Verb::Rmdir => "rmdir",
        Verb::Mknod => "mknod",
        Verb::Setattr => "attributes",
        Verb::Closed => "closed",
        Verb::Mount => "mount",
        Verb::Load => "load",
    }
}

/// What somebody did, in a sentence.
#[must_use]
pub fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "created",
        Verb::Write => "opened for writing",
        Verb::Rename => "renamed",
        Verb::Link => "hard-linked",
        Verb::Symlink => "linked",
        Verb::Unlink | Verb::Rmdir => "removed",
        Verb::Mkdir => "made directory",
        Verb::Mknod => "made",
        Verb::Setattr => "changed attributes of",
        Verb::Closed => "finished writing",
        Verb::Mount => "mounted over",
        Verb::Load => "loaded",
    }
}

/// A request as one sentence.
#[derive(Debug)]
pub struct AskedMessage<'a>(pub &'a Asked);

impl fmt::Display for AskedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.0;
        let author = &asked.author.process;
        let name = match author.name() {
            "" => "a process",
            name => name,
        };
        let manager = asked.manager.in_words();
        let (pid, method) = (author.key.tgid, asked.method());
        write!(f, "{name}({pid}) asked {manager}: {method}")?;
        for unit in asked.units() {
            write!(f, " {unit}")?;
        }
        Ok(())
    }
}

/// A statement about the agent as one sentence.
#[derive(Debug)]
pub struct HealthMessage<'a>(pub &'a Health);

impl fmt::Display for HealthMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Health::Started {
                file_tier,
                watched,
                blind,
            } => {
                match file_tier {
                    Some(tier) => write!(
                        f,
                        "file changes by {}, {watched} directories watched",
                        tier.as_str()
                    )?,
                    None => f.write_str("file changes are not seen")?,
                }
                if !blind.is_empty() {
                    write!(f, "; blind to: {}", blind.join(", "))?;
                }
                Ok(())
            }
            Health::Loss(lost) => {
                for (at, loss) in lost.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(
                        f,
                        "{separator}{} {} in {}",
                        loss.count, loss.kind, loss.stage
                    )?;
                }
                Ok(())
            }
            Health::Gap(gap) => f.write_str(gap),
            Health::Stopped {
                events,
                findings,
                lost,
            } => write!(f, "{events} events, {findings} findings, {lost} lost"),
        }
    }
}
