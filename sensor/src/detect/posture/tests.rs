use super::*;
use crate::detect::mapping;

#[test]
fn ids_are_unique_and_texts_are_there() {
    let mut ids: Vec<&str> = CHECKS.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CHECKS.len());
    for entry in CHECKS {
        for text in [
            entry.title,
            entry.severity,
            entry.explanation,
            entry.check,
            entry.silence,
        ] {
            assert!(
                !text.is_empty() && !text.contains('\n') && !text.contains("  "),
                "{}",
                entry.id
            );
        }
    }
    assert_eq!(mapping::unknown_checks(), [""; 0]);
}

#[test]
fn words_for_a_shell() {
    for (word, expected) in [
        ("/etc/systemd/x@1.service", "/etc/systemd/x@1.service"),
        ("a b", "'a b'"),
        ("it's", r"'it'\''s'"),
        ("", "''"),
        ("$(x)", "'$(x)'"),
    ] {
        assert_eq!(quoted(word), expected);
    }
}

/// Each check as a page of documentation. With `UPDATE_DOCS` set it is written anew.
#[test]
fn checks_are_documented() {
    let mut page = String::from(
        "# Checks\n\nEvery check of `whodunit scan`, by its stable id: `metadata.event_code` of a result. How they come about is\n\
         in [SCAN](SCAN.md). This page is made of `sensor/src/detect/posture/`; a test keeps it so\n\
         (`UPDATE_DOCS=1 cargo test -p whodunit checks`).\n",
    );
    for rule in CHECKS {
        let ids = rule
            .techniques
            .iter()
            .map(|it| it.sub.unwrap_or(it.technique).0);
        let ids: Vec<&str> = ids.collect();
        page.push_str(&format!(
            "\n## {}\n\n**{}.** {}\n\n- **Severity**: {}.\n- **Check**: {}\n- **Silence**: {}\n",
            rule.id, rule.title, rule.explanation, rule.severity, rule.check, rule.silence
        ));
        for (name, ids) in [("ATT&CK", ids), ("Controls", mapping::controls_of(rule.id))] {
            if !ids.is_empty() {
                page.push_str(&format!("- **{name}**: {}\n", ids.join(", ")));
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CHECKS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect(path);
    }
    let text = std::fs::read_to_string(path).expect(path);
    assert!(
        text == page,
        "docs/CHECKS.md is out of date: set UPDATE_DOCS=1"
    );
}
