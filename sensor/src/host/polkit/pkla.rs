//! Files of the local authority, as polkit before 0.106 has them.

use super::{PolkitRule, RULES_MAX, covers};

/// The sections of a `.pkla` file that say yes.
#[must_use]
pub fn pkla(text: &str) -> Vec<PolkitRule> {
    let mut rules = Vec::new();
    for section in text.split("\n[").take(RULES_MAX) {
        let value = |key: &str| {
            section.lines().rev().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let yes = ["ResultAny", "ResultInactive", "ResultActive"]
            .iter()
            .any(|key| value(key).is_some_and(|it| it == "yes"));
        let split = |text: String| -> Vec<String> {
            text.split(';')
                .map(|it| it.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect()
        };
        let actions = split(value("Action").unwrap_or_default());
        let actions: Vec<_> = actions.into_iter().filter(|it| covers(it)).collect();
        if !yes || actions.is_empty() {
            continue;
        }
        let who = split(value("Identity").unwrap_or_default());
        let who = who
            .into_iter()
            .filter(|it| it != "unix-user:*")
            .map(|it| {
                it.replace("unix-user:", "user ")
                    .replace("unix-group:", "group ")
            })
            .collect();
        rules.push(PolkitRule {
            actions,
            who,
            limits: Vec::new(),
        });
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_authority() {
        let rules = pkla(
            "[x]\nIdentity=unix-group:ops;unix-user:bob\nAction=org.freedesktop.systemd1.*\n\
             ResultAny=no\nResultActive=yes\n\
             [y]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n\
             [z]\nIdentity=unix-user:*\nAction=org.freedesktop.login1.reboot\nResultAny=yes\n\
             [w]\nIdentity=unix-user:*\nAction=*\nResultAny=auth_admin\n",
        );
        let who: Vec<_> = rules.iter().map(|rule| rule.who.clone()).collect();
        assert_eq!(
            who,
            [vec!["group ops".to_owned(), "user bob".to_owned()], vec![]]
        );
    }
}
