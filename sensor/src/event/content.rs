//! What is in a file after a change.

/// The content of a file after a change, as far as it could be had; a symbolic link's content is
/// the text it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 in hex; of a link nothing, see [`LinkTarget::sha256`].
    pub sha256: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// `st_mode`.
    pub mode: Option<u32>,
    /// MD5 of the same bytes, to be compared with what packages say; not for output.
    pub md5: Option<[u8; 16]>,
    /// SHA-256 of what was last known under this name, also when that was removed since.
    pub previous_sha256: Option<String>,
    /// When that was last read, in nanoseconds since boot.
    pub previous_at: Option<u64>,
    /// Whether the content, or the text of a link, is what was last known under this name.
    pub unchanged: bool,
    /// How the text differs from what was last known under this name; for unit files and what is
    /// like them, up to 64 KiB.
    pub diff: Option<Diff>,
    /// Whether a file whose text is not kept, as an environment file or script, sets a variable that
    /// loads code, and is not known to have done so before.
    pub loads_code: bool,
    /// What a unit file or drop-in sets; of a link to a unit file what that sets.
    pub settings: Option<UnitSettings>,
    /// Where a symbolic link leads.
    pub link: Option<LinkTarget>,
    /// What is missing of the above, and why.
    pub gap: Option<String>,
}

impl Content {
    /// The same without the texts, which are many times the rest: for what is kept long.
    #[must_use]
    pub fn without_texts(&self) -> Self {
        Self {
            sha256: self.sha256.clone(),
            size: self.size,
            mode: self.mode,
            md5: self.md5,
            previous_sha256: self.previous_sha256.clone(),
            previous_at: self.previous_at,
            unchanged: self.unchanged,
            diff: None,
            loads_code: self.loads_code,
            settings: None,
            link: self.link.clone(),
            gap: self.gap.clone(),
        }
    }
}

/// A unified diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// With three lines of context. Bytes that are not UTF-8 are replaced; control characters
    /// are as in the file.
    pub text: String,
    /// Whether the end of it was cut; the counts are of the whole.
    pub truncated: bool,
    /// Lines that came.
    pub added: u32,
    /// Lines that went.
    pub removed: u32,
}

/// Where a symbolic link leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkTarget {
    /// What the link says.
    pub text: String,
    /// The path that it leads to at last, free of links; `None` when there is nothing, or
    /// it could not be followed.
    pub path: Option<String>,
    /// SHA-256 in hex of the regular file there.
    pub sha256: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// `st_mode` of what is there.
    pub mode: Option<u32>,
}

/// The settings that tell what a unit does, of one file alone: drop-ins may change them. Of a
/// drop-in what it sets itself.
///
/// Values are as in the file, with the specifiers that the unit's name decides expanded, except
/// for templates and for drop-ins of more than one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitSettings {
    /// The type of unit: `service`, `timer` …
    pub kind: &'static str,
    /// Whether the file masks the unit: it is empty or a link to `/dev/null`.
    pub masked: bool,
    /// Command lines as `ExecStart=/bin/sh /opt/x.sh`, in the order in which they run. In a
    /// drop-in one without a value drops those of the unit's file.
    pub runs: Vec<String>,
    /// `User=`
    pub user: Option<String>,
    /// `EnvironmentFile=`, with the `-` that allows it to be missing.
    pub environment_files: Vec<String>,
    /// The unit that a timer, path, socket or automount starts.
    pub triggers: Option<String>,
    /// When it does: `OnCalendar=daily`, `OnUnitActiveSec=60`, `PathExists=/run/x`,
    /// `ListenStream=80` …
    pub when: Vec<String>,
    /// The smallest time between two elapses of a timer, in seconds, rounded up; `None` when
    /// there is none or it is not simple to tell.
    pub interval_seconds: Option<u64>,
    /// `Persistent=` of a timer: a missed elapse is made up for at boot.
    pub persistent: bool,
    /// Units that this one pulls in: `Wants=a.service`, `Requires=`, `BindsTo=`, `Upholds=`.
    pub pulls_in: Vec<String>,
    /// `OnFailure=` and `OnSuccess=`, as `OnFailure=a.service`.
    pub on_end: Vec<String>,
    /// Who pulls this one in once it is enabled: `WantedBy=timers.target`, `RequiredBy=`,
    /// `UpheldBy=`, the names it is also known by: `Alias=`, and what is enabled with it: `Also=`.
    pub installs: Vec<String>,
    /// Whether some were left out, or cut, because they are too many or too long.
    pub truncated: bool,
}
