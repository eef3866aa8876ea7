//! Rules in JavaScript, polkit(8).
//!
//! They are programs. What a rule tests is told by the names in it, not by running it: a rule that
//! builds its names from parts is not understood.

use super::{ACTIONS, PolkitRule, RULES_MAX, covers};

/// Most texts in quotes of one rule.
const LITERALS_MAX: usize = 2048;

/// The rules of a script that say yes to what concerns units.
#[must_use]
pub fn script(text: &str) -> Vec<PolkitRule> {
    let code = without_comments(text);
    let mut rules = Vec::new();
    for part in code.split("polkit.addRule").skip(1).take(RULES_MAX) {
        let part = part.split("polkit.addAdminRule").next().unwrap_or(part);
        let compact: String = part.split_whitespace().collect();
        let literals = literals(part);
        let says_yes = |literal: &String| literal.eq_ignore_ascii_case("yes");
        if !compact.contains("Result.YES") && !literals.iter().any(says_yes) {
            continue;
        }
        let actions = actions(part, &literals);
        if actions.is_empty() && asks(&compact, "id") {
            continue;
        }
        let mut who = Vec::new();
        who.extend(following(&compact, "isInGroup(").map(|name| format!("group {name}")));
        who.extend(following(&compact, "isInNetGroup(").map(|name| format!("netgroup {name}")));
        for mark in [".user==", ".user==="] {
            who.extend(following(&compact, mark).map(|name| format!("user {name}")));
        }
        if who.is_empty() {
            let asked = [("user", "some users"), ("groups", "some groups")];
            let asked = asked
                .into_iter()
                .filter(|(member, _)| asks(&compact, member));
            who.extend(asked.map(|(_, words)| words.to_owned()));
        }
        let mut limits = Vec::new();
        if part.contains("action.lookup") {
            let units = |it: &&String| it.contains('.') && !covers(it);
            limits.extend(literals.iter().filter(units).cloned());
            if limits.is_empty() {
                limits.push("action.lookup".to_owned());
            }
        }
        rules.push(PolkitRule {
            actions,
            who,
            limits,
        });
    }
    rules
}

/// The actions that a rule names, in quotes or in a regular expression.
fn actions(part: &str, literals: &[String]) -> Vec<String> {
    let named = literals.iter().filter(|it| it.len() >= 4 && covers(it));
    let named: Vec<String> = named.cloned().collect();
    if !named.is_empty() {
        return named;
    }
    let plain = part.replace('\\', "");
    let services = ACTIONS.iter().filter_map(|action| {
        let (service, _) = action.rsplit_once('.')?;
        plain.contains(service).then(|| service.to_owned())
    });
    let mut services: Vec<String> = services.collect();
    services.dedup();
    services
}

/// Whether code looks at a member of an action or a subject, whatever it calls them.
fn asks(compact: &str, member: &str) -> bool {
    let by_dot = compact.split(&format!(".{member}")).skip(1).any(|rest| {
        let next = rest.chars().next();
        !next.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
    });
    let by_index = ['"', '\''].map(|quote| format!("[{quote}{member}{quote}]"));
    by_dot
        || by_index
            .iter()
            .any(|index| compact.contains(index.as_str()))
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('/', None) if chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            ('/', None) if chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                for c in chars.by_ref() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
                out.push(' ');
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What stands in quotes.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (open, tail) = rest.split_at(at);
        let _ = open;
        let Some(quote) = tail.chars().next() else {
            break;
        };
        let tail = tail.get(1..).unwrap_or_default();
        let Some(end) = tail.find(quote) else { break };
        found.push(tail.get(..end).unwrap_or_default().to_owned());
        rest = tail.get(end + 1..).unwrap_or_default();
        if found.len() >= LITERALS_MAX {
            break;
        }
    }
    found
}

/// The literals that come right after `mark`.
fn following<'a>(code: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(mark).skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| "\"'`".contains(*c))?;
        rest.get(1..)?.split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(actions: &[&str], who: &[&str], limits: &[&str]) -> PolkitRule {
        let own = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        PolkitRule {
            actions: own(actions),
            who: own(who),
            limits: own(limits),
        }
    }

    #[test]
    fn rules_that_let_somebody_manage_units() {
        let all = script(
            "// polkit.addRule: a comment\n\
             polkit.addAdminRule(function(a, s) { return ['unix-group:sudo']; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == \"org.freedesktop.systemd1.manage-units\" &&\n\
                   action.lookup('unit') == 'app.service' && subject.isInGroup(\"ops\"))\n\
                 { return polkit.Result.YES; } });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id.indexOf('org.freedesktop.') == 0 && subject.user === 'bob')\n\
                 return polkit.Result.YES; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == 'org.freedesktop.login1.reboot') return polkit.Result.YES; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == 'org.freedesktop.systemd1.manage-units') \
                 return polkit.Result.AUTH_ADMIN; });\n\
             polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n",
        );
        assert_eq!(
            all,
            [
                rule(&[ACTIONS[0]], &["group ops"], &["app.service"]),
                rule(&["org.freedesktop."], &["user bob"], &[]),
                rule(&[], &[], &[]),
            ]
        );
    }

    #[test]
    fn however_it_is_written() {
        let all = script(
            "polkit.addRule((a, s) => a.id == 'org.freedesktop.NetworkManager.network-control' ? 'yes' : null);\n\
             polkit.addRule((a, s) => s.local ? 'yes' : null);\n\
             polkit.addRule((a, s) => { if (a[\"id\"] == 'x.y.z') return 'yes'; });\n\
             polkit.addRule(function(a, s) { if (/^org\\.freedesktop\\.systemd1\\./.test(a.id)) \
               return polkit.Result.YES; });\n\
             polkit.addRule(function(a, s) { if (a.id.match('systemd1') && \
               ['bob', 'eve'].includes(s.user)) return polkit.Result.YES; });\n\
             polkit.addRule(function(a, s) { if (a.id == 'org.freedesktop.policykit.exec' && \
               s.user == 'eve') return polkit['Result']['YES']; });\n",
        );
        assert_eq!(
            all,
            [
                rule(&[], &[], &[]),
                rule(&["org.freedesktop.systemd1"], &[], &[]),
                rule(&["systemd1"], &["some users"], &[]),
                rule(&["org.freedesktop.policykit.exec"], &["user eve"], &[]),
            ]
        );
    }
}
