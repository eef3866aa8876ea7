//! The ATT&CK techniques that checks and findings name. A state is no deed: no tactic is told here;
//! the catalogue of findings adds those that a deed serves.

use crate::event::Technique;

pub(super) const T1021_004: Technique = Technique {
    technique: ("T1021", "Remote Services"),
    sub: Some(("T1021.004", "SSH")),
    tactics: &[],
};

pub(super) const T1027: Technique = Technique {
    technique: ("T1027", "Obfuscated Files or Information"),
    sub: None,
    tactics: &[],
};

pub(super) const T1036: Technique = Technique {
    technique: ("T1036", "Masquerading"),
    sub: None,
    tactics: &[],
};

pub(super) const T1036_004: Technique = Technique {
    technique: ("T1036", "Masquerading"),
    sub: Some(("T1036.004", "Masquerade Task or Service")),
    tactics: &[],
};

pub(super) const T1053_006: Technique = Technique {
    technique: ("T1053", "Scheduled Task/Job"),
    sub: Some(("T1053.006", "Systemd Timers")),
    tactics: &[],
};

pub(super) const T1059_004: Technique = Technique {
    technique: ("T1059", "Command and Scripting Interpreter"),
    sub: Some(("T1059.004", "Unix Shell")),
    tactics: &[],
};

pub(super) const T1078_003: Technique = Technique {
    technique: ("T1078", "Valid Accounts"),
    sub: Some(("T1078.003", "Local Accounts")),
    tactics: &[],
};

pub(super) const T1105: Technique = Technique {
    technique: ("T1105", "Ingress Tool Transfer"),
    sub: None,
    tactics: &[],
};

pub(super) const T1222_002: Technique = Technique {
    technique: ("T1222", "File and Directory Permissions Modification"),
    sub: Some((
        "T1222.002",
        "Linux and Mac File and Directory Permissions Modification",
    )),
    tactics: &[],
};

pub(super) const T1543_002: Technique = Technique {
    technique: ("T1543", "Create or Modify System Process"),
    sub: Some(("T1543.002", "Systemd Service")),
    tactics: &[],
};

pub(super) const T1548: Technique = Technique {
    technique: ("T1548", "Abuse Elevation Control Mechanism"),
    sub: None,
    tactics: &[],
};

pub(super) const T1548_001: Technique = Technique {
    technique: ("T1548", "Abuse Elevation Control Mechanism"),
    sub: Some(("T1548.001", "Setuid and Setgid")),
    tactics: &[],
};

pub(super) const T1548_003: Technique = Technique {
    technique: ("T1548", "Abuse Elevation Control Mechanism"),
    sub: Some(("T1548.003", "Sudo and Sudo Caching")),
    tactics: &[],
};

pub(super) const T1554: Technique = Technique {
    technique: ("T1554", "Compromise Host Software Binary"),
    sub: None,
    tactics: &[],
};

pub(super) const T1562_001: Technique = Technique {
    technique: ("T1562", "Impair Defenses"),
    sub: Some(("T1562.001", "Disable or Modify Tools")),
    tactics: &[],
};

pub(super) const T1564_001: Technique = Technique {
    technique: ("T1564", "Hide Artifacts"),
    sub: Some(("T1564.001", "Hidden Files and Directories")),
    tactics: &[],
};

pub(super) const T1574: Technique = Technique {
    technique: ("T1574", "Hijack Execution Flow"),
    sub: None,
    tactics: &[],
};

pub(super) const T1574_006: Technique = Technique {
    technique: ("T1574", "Hijack Execution Flow"),
    sub: Some(("T1574.006", "Dynamic Linker Hijacking")),
    tactics: &[],
};
