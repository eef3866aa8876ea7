//! What actions allow where no rule says otherwise: files of `<action>` in XML.

use super::{PolkitRule, RULES_MAX, covers};

/// The actions that let somebody manage units without a password.
#[must_use]
pub fn policy(text: &str) -> Vec<PolkitRule> {
    let text = without_comments(text);
    let actions = text.split("<action").skip(1).take(RULES_MAX);
    let allowed = actions.filter_map(|action| {
        let action = action.split("</action>").next().unwrap_or(action);
        let id = attribute(action, "id")?;
        let implied = annotation(action, "org.freedesktop.policykit.imply");
        let mut actions: Vec<String> = std::iter::once(id)
            .chain(implied.into_iter().flat_map(str::split_whitespace))
            .filter(|it| covers(it))
            .map(str::to_owned)
            .collect();
        // Named by an action of its own: pkexec runs this one program.
        if let Some(program) = annotation(action, "org.freedesktop.policykit.exec.path")
            && RUNNERS.iter().any(|name| program.ends_with(name))
        {
            actions.push(format!("{id}: {program}"));
        }
        let says_yes = |whom: &str| element(action, whom) == Some("yes");
        let who = if says_yes("allow_any") || says_yes("allow_inactive") {
            Vec::new()
        } else if says_yes("allow_active") {
            vec!["whoever is logged in at the console".to_owned()]
        } else {
            return None;
        };
        (!actions.is_empty()).then_some(PolkitRule {
            actions,
            who,
            limits: Vec::new(),
        })
    });
    allowed.collect()
}

/// Programs that start units, or anything.
const RUNNERS: [&str; 5] = ["/systemctl", "/systemd-run", "/busctl", "/bash", "/sh"];

fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once("-->").map_or("", |(_, rest)| rest));
    }
    out
}

/// The value of an attribute of the element that `text` begins in.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let tag = text.split('>').next()?;
    let (_, value) = tag.split_once(&format!(" {name}="))?;
    quoted(value)
}

fn quoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|c| "\"'".contains(*c))?;
    value.get(1..)?.split(quote).next()
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split('<').next().map(str::trim)
}

fn annotation<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split("<annotate").skip(1).find_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        let (_, value) = tag.split_once("key=")?;
        (quoted(value)? == key).then(|| rest.split('<').next().map(str::trim))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(id: &str, inside: &str) -> String {
        format!("<action id=\"{id}\">\n <message>Why</message>\n {inside}\n</action>\n")
    }

    #[test]
    fn what_actions_allow_by_themselves() {
        let units = "org.freedesktop.systemd1.manage-units";
        let imply = format!(
            "<defaults><allow_any>yes</allow_any></defaults>\
             <annotate key=\"org.freedesktop.policykit.imply\">a.b {units}</annotate>"
        );
        let asks = "<defaults><allow_any>auth_admin</allow_any>\
                    <allow_active>auth_admin_keep</allow_active></defaults>";
        let console =
            "<defaults><allow_any>no</allow_any><allow_active>yes</allow_active></defaults>";
        let shell = "<defaults><allow_any> yes </allow_any></defaults>\
                     <annotate key='org.freedesktop.policykit.exec.path'>/bin/sh</annotate>";
        let text = [
            action(units, asks),
            action(units, console),
            action("x.implies", &imply),
            action("x.shell", shell),
            action("org.freedesktop.login1.reboot", console),
            format!("<!-- {} -->", action(units, console)),
        ];
        let rules = policy(&text.concat());
        let found: Vec<_> = rules
            .iter()
            .map(|rule| (rule.actions.join(" "), rule.who.len()))
            .collect();
        assert_eq!(
            found,
            [
                (units.to_owned(), 1),
                (units.to_owned(), 0),
                ("x.shell: /bin/sh".to_owned(), 0),
            ]
        );
    }
}
