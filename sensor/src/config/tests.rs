use super::*;

const WHOLE: &str = r#"
[analytic]
TimerIntervalThreshold = 60
ParentProcessID = [1]
UserContext = [0]
TimerCreationPath = ["/etc/systemd/system"]

[[exception]]
rule = "timer-created"
unit = "backup-*.timer"
owner = "storage team"
reason = "made by the backup tool, ticket 4711"
expires = "2027-01-31"

[[configuration_management]]
program = "/opt/puppetlabs/puppet/bin/ruby"
parent = "/usr/lib/systemd/systemd"
path = "/etc/systemd/system"
owner = "platform"
reason = "puppet runs here"
expires = "2027-06-30"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

fn error(text: &str) -> String {
    parse(text).expect_err("refused").to_string()
}

#[test]
fn a_whole_file_is_read_and_written_again() {
    let config = parse(WHOLE).expect("read");
    assert_eq!(config.tunables.timer_interval_threshold, 60);
    assert_eq!(config.tunables.user_context, [0]);
    assert_eq!(config.exceptions[0].unit.as_deref(), Some("backup-*.timer"));
    assert_eq!(config.managed[0].owner, "platform");
    let again = parse(&config.to_toml().expect("written")).expect("read again");
    assert_eq!(again, config);
}

#[test]
fn what_is_left_out_is_as_by_default() {
    assert_eq!(parse("").expect("read"), Config::default());
    let config = parse("[analytic]\nUserContext = [0]\n").expect("read");
    assert_eq!(config.tunables.timer_interval_threshold, 300);
}

#[test]
fn an_exception_may_be_for_a_check_of_scan() {
    let config = parse(&WHOLE.replace("timer-created", "command-writable")).expect("read");
    assert_eq!(config.exceptions[0].rule, "command-writable");
}

#[test]
fn what_is_wrong_is_named() {
    assert!(error("[analytic]\nTimerInterval = 3\n").contains("TimerInterval"));
    assert!(error("[analytic]\nUserContext = [\"root\"]\n").contains("line 2"));
    assert!(error("nonsense").contains("config.toml"));
    for (from, to, says) in [
        ("timer-created", "timer-made", "no rule `timer-made`"),
        ("2027-01-31", "tomorrow", "is not a date such as 2027-01-31"),
        ("storage team", " ", "`owner` is empty"),
        ("unit = \"backup-*.timer\"\n", "", "`unit` or `path`"),
        (
            "2027-06-30",
            "never",
            "configuration_management 1: `expires",
        ),
        ("parent = \"/usr/lib", "parent = \"lib", "no absolute path"),
        (
            "path = \"/etc/systemd/system\"",
            "path = \"/\"",
            "is everything",
        ),
        ("platform", "", "`owner` is empty"),
        (
            "reason = \"made by the backup tool, ticket 4711\"\n",
            "",
            "reason",
        ),
    ] {
        let message = error(&WHOLE.replace(from, to));
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn only_the_default_file_may_be_missing() {
    let missing = Path::new("/nonexistent/config.toml");
    let error = Config::read(Some(missing))
        .expect_err("refused")
        .to_string();
    assert!(error.contains("/nonexistent/config.toml"), "{error}");
}
