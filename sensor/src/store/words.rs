//! The vocabulary as the database spells it, and back.

use serde::{Deserialize, Serialize};

use crate::event::{
    FileClass, Grade, Login, Manager, OnBehalfOf, Origin, RequestClass, SystemdContext, Tier,
    Timestamp, Trigger, TriggerType, Verb,
};
use crate::systemd::load_path::Serves;

/// What a version is called that was there when it was first looked at.
pub(super) const LEARNED: &str = "learned";

const VERBS: [(Verb, &str); 13] = [
    (Verb::Create, "create"),
    (Verb::Write, "write"),
    (Verb::Rename, "rename"),
    (Verb::Link, "link"),
    (Verb::Symlink, "symlink"),
    (Verb::Unlink, "remove"),
    (Verb::Mkdir, "mkdir"),
    (Verb::Rmdir, "rmdir"),
    (Verb::Mknod, "mknod"),
    (Verb::Setattr, "attributes"),
    (Verb::Closed, "closed"),
    (Verb::Mount, "mount"),
    (Verb::Load, "load"),
];
const CLASSES: [FileClass; 13] = [
    FileClass::UnitFile,
    FileClass::DropIn,
    FileClass::DependencyLink,
    FileClass::Generator,
    FileClass::GeneratorSource,
    FileClass::Preset,
    FileClass::ManagerConfig,
    FileClass::Target,
    FileClass::Image,
    FileClass::Linger,
    FileClass::TimerStamp,
    FileClass::Directory,
    FileClass::Other,
];
const TIERS: [Tier; 4] = [Tier::Lsm, Tier::Fentry, Tier::Kprobe, Tier::Tracepoint];
const ORIGINS: [(Origin, &str); 4] = [
    (Origin::Exec, "exec"),
    (Origin::Fork, "fork"),
    (Origin::Procfs, "procfs"),
    (Origin::Unknown, "unknown"),
];
const GRADES: [Grade; 4] = [Grade::None, Grade::Hint, Grade::Probable, Grade::Certain];
const REQUESTS: [RequestClass; 18] = [
    RequestClass::Start,
    RequestClass::Stop,
    RequestClass::Create,
    RequestClass::Enable,
    RequestClass::Disable,
    RequestClass::Set,
    RequestClass::Environment,
    RequestClass::Reload,
    RequestClass::Attach,
    RequestClass::Kill,
    RequestClass::Mount,
    RequestClass::Linger,
    RequestClass::Shell,
    RequestClass::Portable,
    RequestClass::Control,
    RequestClass::Read,
    RequestClass::Unknown,
    RequestClass::Undecoded,
];
const TRIGGERS: [TriggerType; 9] = [
    TriggerType::Timer,
    TriggerType::Path,
    TriggerType::Socket,
    TriggerType::Bus,
    TriggerType::Request,
    TriggerType::Dependency,
    TriggerType::Restart,
    TriggerType::Boot,
    TriggerType::Unknown,
];

pub(super) fn verb(verb: Verb) -> &'static str {
    let mut words = VERBS.iter();
    let word = words.find(|(known, _)| *known == verb);
    word.map_or("write", |(_, word)| word)
}

pub(super) fn to_verb(word: &str) -> Option<Verb> {
    let mut words = VERBS.iter();
    words
        .find(|(_, known)| *known == word)
        .map(|(verb, _)| *verb)
}

pub(super) fn to_class(word: &str) -> Option<FileClass> {
    CLASSES.into_iter().find(|class| class.as_str() == word)
}

pub(super) fn to_tier(word: &str) -> Option<Tier> {
    TIERS.into_iter().find(|tier| tier.as_str() == word)
}

pub(super) fn to_request(word: &str) -> RequestClass {
    let mut classes = REQUESTS.into_iter();
    let class = classes.find(|class| class.as_str() == word);
    class.unwrap_or(RequestClass::Unknown)
}

pub(super) fn to_grade(word: &str) -> Grade {
    let mut grades = GRADES.into_iter();
    let grade = grades.find(|grade| grade.as_str() == word);
    grade.unwrap_or(Grade::None)
}

pub(super) fn origin(origin: Origin) -> &'static str {
    let mut words = ORIGINS.iter();
    let word = words.find(|(known, _)| *known == origin);
    word.map_or("unknown", |(_, word)| word)
}

pub(super) fn to_origin(word: &str) -> Origin {
    let mut words = ORIGINS.iter();
    let origin = words.find(|(_, known)| *known == word);
    origin.map_or(Origin::Unknown, |(origin, _)| *origin)
}

pub(super) fn to_manager(word: &str) -> Option<Manager> {
    match word.split_once(':') {
        None => (word == "system").then_some(Manager::System),
        Some(("user", uid)) => uid.parse().ok().map(Manager::User),
        Some(("capsule", name)) => Some(Manager::Capsule(name.to_owned())),
        Some(("container", cgroup)) => Some(Manager::Container(cgroup.to_owned())),
        Some(_) => None,
    }
}

pub(super) fn serves(serves: &Serves) -> String {
    match serves {
        Serves::System => "system".to_owned(),
        Serves::User(uid) => format!("user:{uid}"),
        Serves::AllUsers => "users".to_owned(),
        Serves::Capsule(name) => format!("capsule:{name}"),
        Serves::Everyone => "everyone".to_owned(),
        Serves::Elsewhere => "elsewhere".to_owned(),
    }
}

pub(super) fn to_serves(word: &str) -> Serves {
    match word.split_once(':') {
        Some(("user", uid)) => uid.parse().map_or(Serves::Elsewhere, Serves::User),
        Some(("capsule", name)) => Serves::Capsule(name.to_owned()),
        None if word == "system" => Serves::System,
        None if word == "users" => Serves::AllUsers,
        None if word == "everyone" => Serves::Everyone,
        _ => Serves::Elsewhere,
    }
}

/// A trigger as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TriggerWords {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    unit: Option<String>,
    /// Nanoseconds since the epoch, and since boot.
    #[serde(default)]
    fired_at: Option<(u64, u64)>,
    #[serde(default)]
    grade: String,
    #[serde(default)]
    evidence: Vec<String>,
}

impl TriggerWords {
    pub(super) fn of(trigger: &Trigger) -> Self {
        Self {
            kind: trigger.kind.as_str().to_owned(),
            unit: trigger.unit.clone(),
            fired_at: trigger.fired_at.map(|time| (time.wall, time.boot)),
            grade: trigger.grade.as_str().to_owned(),
            evidence: trigger.evidence.clone(),
        }
    }

    pub(super) fn trigger(self, this_boot: bool) -> Trigger {
        let kind = TRIGGERS.into_iter().find(|kind| kind.as_str() == self.kind);
        Trigger {
            kind: kind.unwrap_or(TriggerType::Unknown),
            unit: self.unit,
            fired_at: self.fired_at.map(|(wall, boot)| Timestamp {
                wall,
                boot: if this_boot { boot } else { 0 },
            }),
            grade: to_grade(&self.grade),
            evidence: self.evidence,
        }
    }
}

/// Where a session comes from, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LoginWords {
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<std::net::SocketAddr>,
}

impl LoginWords {
    pub(super) fn of(login: &Login) -> Self {
        Self {
            tty: login.tty.clone(),
            peer: login.peer,
        }
    }

    pub(super) fn login(self) -> Login {
        Login {
            tty: self.tty,
            peer: self.peer,
        }
    }
}

/// The request behind a change, beside its author and method, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AskedWords {
    class: String,
    grade: String,
    uid: String,
    /// Nanoseconds since the epoch, and since boot.
    time: (u64, u64),
    login: LoginWords,
    /// For people: why it is not certain.
    doubt: Option<String>,
    health_check: bool,
}

impl AskedWords {
    pub(super) fn of(of: &OnBehalfOf) -> Self {
        Self {
            class: of.class.as_str().to_owned(),
            grade: of.grade.as_str().to_owned(),
            uid: of.event_uid.clone(),
            time: (of.time.wall, of.time.boot),
            login: LoginWords::of(&of.login),
            doubt: of.doubt.map(str::to_owned),
            health_check: of.health_check,
        }
    }

    /// Why it is not certain, and when it was asked, in nanoseconds since the epoch.
    pub(super) fn doubt(&self) -> (Option<&str>, u64) {
        (self.doubt.as_deref(), self.time.0)
    }

    /// Why it is not certain was told with the change.
    pub(super) fn on_behalf_of(
        self,
        author: crate::event::Actor,
        method: String,
        this_boot: bool,
    ) -> OnBehalfOf {
        let (wall, boot) = self.time;
        OnBehalfOf {
            author,
            login: self.login.login(),
            grade: to_grade(&self.grade),
            method,
            class: to_request(&self.class),
            event_uid: self.uid,
            time: Timestamp {
                wall,
                boot: if this_boot { boot } else { 0 },
            },
            doubt: None,
            transient: Vec::new(),
            health_check: self.health_check,
        }
    }
}

/// A unit's context as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContextWords {
    manager: String,
    #[serde(default)]
    spawned: bool,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    invocation_id: Option<String>,
    #[serde(default)]
    cgroup: Option<String>,
    #[serde(default)]
    trigger: Option<TriggerWords>,
}

impl ContextWords {
    pub(super) fn of(context: &SystemdContext) -> Self {
        Self {
            manager: context.manager.to_string(),
            spawned: context.spawned,
            unit: context.unit.clone(),
            invocation_id: context.invocation_id.clone(),
            cgroup: context.cgroup.clone(),
            trigger: context.trigger.as_ref().map(TriggerWords::of),
        }
    }

    pub(super) fn context(self) -> Option<SystemdContext> {
        Some(SystemdContext {
            manager: to_manager(&self.manager)?,
            spawned: self.spawned,
            unit: self.unit,
            invocation_id: self.invocation_id,
            cgroup: self.cgroup,
            trigger: self.trigger.map(|trigger| trigger.trigger(true)),
        })
    }
}

/// As SQLite keeps unsigned numbers.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for (known, word) in VERBS {
            assert_eq!(to_verb(word), Some(known));
            assert_eq!(verb(known), word);
        }
        for class in CLASSES {
            assert_eq!(to_class(class.as_str()), Some(class));
        }
        for class in REQUESTS {
            assert_eq!(to_request(class.as_str()), class);
        }
        for manager in [
            Manager::System,
            Manager::User(1000),
            Manager::Container("/machine.slice/a:b.service".to_owned()),
        ] {
            assert_eq!(to_manager(&manager.to_string()), Some(manager));
        }
        for known in [
            Serves::System,
            Serves::User(7),
            Serves::AllUsers,
            Serves::Capsule("x".to_owned()),
            Serves::Everyone,
            Serves::Elsewhere,
        ] {
            assert_eq!(to_serves(&serves(&known)), known);
        }
        assert_eq!(to_serves("something new"), Serves::Elsewhere);
        assert_eq!(to_verb(LEARNED), None);
    }
}
