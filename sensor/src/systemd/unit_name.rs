//! Names of units: what systemd accepts, and what a name in a load path is about.
//!
//! Pure text, no file is touched. Rules: `unit_name_is_valid` and friends in systemd's
//! `src/basic/unit-name.c`, the same from 247 to 262.

use std::fmt;

/// Longest valid name in bytes (`UNIT_NAME_MAX` less the final NUL).
pub const UNIT_NAME_MAX: usize = 255;

/// The eleven kinds of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitType {
    /// `.service`
    Service,
    /// `.socket`
    Socket,
    /// `.target`
    Target,
    /// `.device`
    Device,
    /// `.mount`
    Mount,
    /// `.automount`
    Automount,
    /// `.swap`
    Swap,
    /// `.timer`
    Timer,
    /// `.path`
    Path,
    /// `.slice`
    Slice,
    /// `.scope`
    Scope,
}

impl UnitType {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Service,
        Self::Socket,
        Self::Target,
        Self::Device,
        Self::Mount,
        Self::Automount,
        Self::Swap,
        Self::Timer,
        Self::Path,
        Self::Slice,
        Self::Scope,
    ];

    /// The suffix without its dot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Socket => "socket",
            Self::Target => "target",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Automount => "automount",
            Self::Swap => "swap",
            Self::Timer => "timer",
            Self::Path => "path",
            Self::Slice => "slice",
            Self::Scope => "scope",
        }
    }

    /// The kind with this suffix (without a dot).
    #[must_use]
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == suffix)
    }
}

impl fmt::Display for UnitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not the name of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnitName {
    /// The name is empty or longer than 255 bytes.
    #[error("a unit name has 1 to 255 bytes")]
    Length,
    /// The name does not end in a dot and one of the eleven types, after at least one character.
    #[error("a unit name ends in one of systemd's unit types")]
    Type,
    /// The name has a character other than ASCII letters, digits and `:-_.\@`.
    #[error("a unit name has only letters, digits and :-_.\\@")]
    Character,
    /// The name begins with `@`.
    #[error("a unit name does not begin with @")]
    Prefix,
}

/// A valid unit name: plain (`x.timer`), template (`x@.timer`) or instance (`x@i.timer`).
///
/// A leading dot is valid, though `systemctl list-unit-files` never shows such a unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitName {
    text: Box<str>,
    kind: UnitType,
}

impl UnitName {
    /// Checks a name as systemd does.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidUnitName> {
        if text.is_empty() || text.len() > UNIT_NAME_MAX {
            return Err(InvalidUnitName::Length);
        }
        let (stem, suffix) = text.rsplit_once('.').ok_or(InvalidUnitName::Type)?;
        if stem.is_empty() {
            return Err(InvalidUnitName::Type);
        }
        let kind = UnitType::from_suffix(suffix).ok_or(InvalidUnitName::Type)?;
        if !stem.bytes().all(is_name_byte) {
            return Err(InvalidUnitName::Character);
        }
        if stem.starts_with('@') {
            return Err(InvalidUnitName::Prefix);
        }
        Ok(Self {
            text: text.into(),
            kind,
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind of unit.
    #[must_use]
    pub fn kind(&self) -> UnitType {
        self.kind
    }

    /// The name without its type: `x@i` of `x@i.timer`.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.text.rsplit_once('.').map_or(&*self.text, |(s, _)| s)
    }

    /// What stands before the first `@`, or the stem of a plain name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let stem = self.stem();
        stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
    }

    /// What stands between the first `@` and the type; `Some("")` for a template.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// Whether this is a template (`x@.timer`), which cannot run itself.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.instance() == Some("")
    }

    /// The template of an instance: `x@.timer` of `x@i.timer`.
    #[must_use]
    pub fn template(&self) -> Option<Self> {
        match self.instance() {
            None | Some("") => None,
            Some(_) => Some(Self {
                text: format!("{}@.{}", self.prefix(), self.kind).into(),
                kind: self.kind,
            }),
        }
    }

    /// The same name with another type: what a timer starts if it names nothing else.
    #[must_use]
    pub fn with_kind(&self, kind: UnitType) -> Option<Self> {
        Self::parse(&format!("{}.{kind}", self.stem())).ok()
    }

    /// Names whose `.d` directories apply to this unit, the most specific first: itself, its
    /// template, the prefixes cut at a dash, and the bare type (`service`).
    ///
    /// An [`Entry::unit`](super::entry::Entry::unit) that is in this list changes this unit. Order and rules:
    /// `unit_file_find_dirs` in `src/shared/dropin.c`.
    #[must_use]
    pub fn drop_in_stems(&self) -> Vec<String> {
        let mut stems = Vec::new();
        self.push_stems(&mut stems);
        stems.push(self.kind.as_str().to_owned());
        stems
    }

    fn push_stems(&self, stems: &mut Vec<String>) {
        let mut name = self.clone();
        loop {
            stems.push(name.text.to_string());
            if let Some(template) = name.template() {
                // Not a loop: a template has no template.
                template.push_stems(stems);
            }
            match name.cut_at_dash() {
                Some(shorter) => name = shorter,
                None => return,
            }
        }
    }

    /// `foo-bar-.service` of `foo-bar-baz.service`, `foo-.service` of `foo-bar-.service`.
    fn cut_at_dash(&self) -> Option<Self> {
        let prefix = self.prefix();
        // One trailing dash is the mark of a prefix, not the place to cut.
        let body = prefix.strip_suffix('-').unwrap_or(prefix);
        let dash = body.rfind('-').filter(|&at| at > 0)?;
        let cut = body.get(..=dash)?;
        // A template's prefixes are no templates: `foo-.service` reaches every `foo-bar@i.service`.
        let text = match self.instance().filter(|instance| !instance.is_empty()) {
            Some(instance) => format!("{cut}@{instance}.{}", self.kind),
            None => format!("{cut}.{}", self.kind),
        };
        Self::parse(&text).ok()
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte)
}

/// Whom the files of a drop-in directory apply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropInScope {
    /// One unit, or every instance of a template.
    Unit(UnitName),
    /// Every unit of the type whose name begins so: `foo-.service.d`.
    Prefix(UnitName),
    /// Every unit of the type: `service.d`.
    Type(UnitType),
}

/// The names under which the files lie that define a unit, sorted: its own, its template's, and
/// those of drop-in directories for it. Of what is no unit's name that name alone.
#[must_use]
pub fn defining_names(unit: &str) -> Vec<String> {
    let mut names = match UnitName::parse(unit) {
        Ok(name) => name.drop_in_stems(),
        Err(_) => vec![unit.to_owned()],
    };
    names.sort_unstable();
    names.dedup();
    names
}

impl DropInScope {
    /// The directory's name without `.d`, as in [`UnitName::drop_in_stems`].
    #[must_use]
    pub fn stem(&self) -> &str {
        match self {
            Self::Unit(name) | Self::Prefix(name) => name.as_str(),
            Self::Type(kind) => kind.as_str(),
        }
    }

    /// Whether the files apply to `unit`.
    #[must_use]
    pub fn covers(&self, unit: &UnitName) -> bool {
        unit.drop_in_stems().iter().any(|stem| stem == self.stem())
    }
}

/// Whom a drop-in directory applies to, from its name: `foo.service.d`, `foo-.service.d`,
/// `service.d`.
#[must_use]
pub fn unit_of_dropin_dir(name: &str) -> Option<DropInScope> {
    let stem = name.strip_suffix(".d")?;
    if let Some(kind) = UnitType::from_suffix(stem) {
        return Some(DropInScope::Type(kind));
    }
    let unit = UnitName::parse(stem).ok()?;
    Some(if unit.prefix().ends_with('-') {
        DropInScope::Prefix(unit)
    } else {
        DropInScope::Unit(unit)
    })
}

/// The unit that a link farm belongs to: `foo.target` of `foo.target.wants`.
#[must_use]
pub fn unit_of_dependency_dir(name: &str) -> Option<UnitName> {
    // `.upholds` since 254; on older versions such a directory does nothing.
    [".wants", ".requires", ".upholds"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .and_then(|stem| UnitName::parse(stem).ok())
}
