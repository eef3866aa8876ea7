//! What a changed file says, in a few words.

use super::{COMMAND_WIDTH, Line, PATH_WIDTH, SENTENCE_WIDTH, put};
use crate::event::{Content, UnitSettings};

impl Line<'_> {
    /// `  +3 −1 lines, runs /bin/sh /opt/x.sh, every 60 s`.
    pub(super) fn content(&mut self, content: &Content) {
        let start = self.out.len();
        // A link's text is shown as where it leads.
        if let Some(diff) = content.diff.as_ref().filter(|_| content.link.is_none()) {
            self.part(start);
            put(
                &mut self.out,
                format_args!("+{} −{} lines", diff.added, diff.removed),
            );
        }
        if let Some(settings) = &content.settings {
            self.settings(settings, start);
        }
        if let Some(gap) = &content.gap {
            self.part(start);
            self.push("gap: ");
            self.foreign(gap, SENTENCE_WIDTH);
        }
    }

    fn settings(&mut self, settings: &UnitSettings, start: usize) {
        if settings.masked {
            self.part(start);
            self.push("masked");
        }
        let commands = || settings.runs.iter().filter_map(|run| run.split_once('='));
        let main = commands().find(|(key, value)| *key == "ExecStart" && !value.is_empty());
        let any = || commands().find(|(_, value)| !value.is_empty());
        if let Some((_, command)) = main.or_else(any) {
            self.part(start);
            self.push("runs ");
            self.foreign(command, COMMAND_WIDTH);
        }
        if let Some(user) = &settings.user {
            self.part(start);
            self.push("as ");
            self.foreign(user, PATH_WIDTH);
        }
        if let Some(unit) = &settings.triggers {
            self.part(start);
            self.push("starts ");
            self.foreign(unit, PATH_WIDTH);
        }
        match (settings.interval_seconds, settings.when.first()) {
            (Some(seconds), _) => {
                self.part(start);
                put(&mut self.out, format_args!("every {seconds} s"));
            }
            (None, Some(when)) => {
                self.part(start);
                self.foreign(when, PATH_WIDTH);
            }
            (None, None) => {}
        }
    }

    /// Parts what follows from what is there since `start`.
    fn part(&mut self, start: usize) {
        let first = self.out.len() == start;
        self.push(if first { "  " } else { ", " });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;
    use crate::event::{Diff, LinkTarget};

    fn shown(content: &Content) -> String {
        let style = Style::utc(false);
        let mut line = Line {
            out: String::new(),
            style: &style,
        };
        line.content(content);
        line.out
    }

    fn diff(added: u32, removed: u32) -> Option<Diff> {
        Some(Diff {
            text: "+\x1b[2J\n".to_owned(),
            added,
            removed,
            ..Diff::default()
        })
    }

    #[test]
    fn a_few_words_and_no_diff() {
        assert_eq!(shown(&Content::default()), "");
        let timer = Content {
            diff: diff(3, 1),
            settings: Some(UnitSettings {
                kind: "timer",
                triggers: Some("upd.service".to_owned()),
                when: vec!["OnUnitActiveSec=60".to_owned()],
                interval_seconds: Some(60),
                ..UnitSettings::default()
            }),
            ..Content::default()
        };
        assert_eq!(
            shown(&timer),
            "  +3 −1 lines, starts upd.service, every 60 s"
        );
        let service = Content {
            diff: diff(3, 1),
            settings: Some(UnitSettings {
                kind: "service",
                runs: ["ExecStartPre=/a", "ExecStart=", "ExecStart=/b \x1b[2J"]
                    .map(str::to_owned)
                    .to_vec(),
                user: Some("nobody".to_owned()),
                ..UnitSettings::default()
            }),
            ..Content::default()
        };
        assert_eq!(
            shown(&service),
            "  +3 −1 lines, runs /b \\x1b[2J, as nobody"
        );
    }

    #[test]
    fn masks_and_gaps() {
        let link = Content {
            diff: diff(1, 0),
            link: Some(LinkTarget::default()),
            settings: Some(UnitSettings {
                masked: true,
                ..UnitSettings::default()
            }),
            gap: Some("link target: replaced\nmeanwhile".to_owned()),
            ..Content::default()
        };
        assert_eq!(
            shown(&link),
            "  masked, gap: link target: replaced\\nmeanwhile"
        );
    }
}
