//! Finds what there is to look at. Nothing that it meets stops it: what could not be read is noted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::files::Files;
use super::{
    Account, CommandFacts, DropIn, FileFacts, Inventory, Origin, Owned, Scope, UnitFacts, command,
    places,
};
use crate::event::Manager;
use crate::host::rooted::Root;
use crate::host::{accounts, polkit, sudoers};
use crate::systemd::load_path::{Serves, UserDirs};
use crate::systemd::load_paths::LoadPaths;
use crate::systemd::name_map::{NameMap, Target};
use crate::systemd::service::Service;
use crate::systemd::timer::Timer;
use crate::systemd::unit_file::{FILE_MAX, UnitFile};
use crate::systemd::unit_name::{UnitName, UnitType};

/// Stands for the instance of a template, which is not known.
const ANY_INSTANCE: &str = "__any__";
/// Most units that are looked at.
const MAX_UNITS: usize = 50_000;

/// Looks at the tree `root`, with the load paths of its managers.
#[must_use]
pub fn collect(root: &Root, paths: &LoadPaths) -> Inventory {
    let mut inventory = Inventory::default();
    let mut files = Files::new(root);
    inventory.packages = files.has_packages();
    let (accounts, names, problems) = accounts::read(root);
    inventory.accounts = accounts
        .into_iter()
        .map(|it| Account {
            uid: it.uid,
            name: it.name,
            shell: it.shell,
        })
        .collect();
    inventory.names = names;
    inventory.problems.extend(problems);
    inventory.sudo = sudoers::read(root);
    inventory.problems.extend(inventory.sudo.problems.clone());
    let (rules, problems) = polkit::read(root);
    inventory.polkit = rules;
    inventory.problems.extend(problems);
    let rules = inventory.sudo.files.iter();
    let rules = rules.chain(inventory.polkit.iter().map(|file| &file.path));
    inventory.rules = rules.map(|path| files.facts(path)).collect();
    let directories = polkit::directories().map(|path| files.facts(Path::new(path)));
    let directories = directories.filter(|facts| facts.trace.found().is_some());
    inventory.rules.extend(directories);
    places::collect(&mut files, paths, &mut inventory);
    if let Ok((names, _)) = root.list(Path::new("/var/lib/systemd/linger"), 4096) {
        inventory.lingering = names;
    }
    let uids: HashMap<String, u32> = inventory
        .accounts
        .iter()
        .rev()
        .map(|account| (account.name.clone(), account.uid))
        .collect();

    let mut collector = Collector {
        files,
        uids,
        inventory,
    };
    let system = paths.unit_dirs(&Manager::System).to_vec();
    collector.scope(&Scope::System, &system, |_| true);
    let shared: Vec<String> = UserDirs::new(0, "/", None)
        .units()
        .into_iter()
        .filter(|dir| dir.serves == Serves::AllUsers)
        .map(|dir| dir.path)
        .collect();
    collector.scope(&Scope::AllUsers, &shared, |_| true);
    let mut users: Vec<u32> = paths
        .managers()
        .filter_map(|manager| match manager {
            Manager::User(uid) => Some(*uid),
            Manager::System | Manager::Capsule(_) | Manager::Container(_) => None,
        })
        .collect();
    users.sort_unstable();
    for uid in users {
        let order = paths.unit_dirs(&Manager::User(uid));
        let own: BTreeSet<&String> = order.iter().filter(|dir| !shared.contains(dir)).collect();
        if !own.iter().any(|dir| root.place(Path::new(dir)).is_dir()) {
            continue;
        }
        let name = collector.inventory.names.users.get(&uid);
        let name = name.cloned().unwrap_or_else(|| uid.to_string());
        // What is shared was looked at once for all.
        let is_own = |path: &Path| own.iter().any(|dir| path.starts_with(dir));
        collector.scope(&Scope::User(uid, name), order, is_own);
    }
    let Collector {
        files,
        mut inventory,
        ..
    } = collector;
    inventory.problems.extend(files.problems);
    inventory.problems.sort();
    inventory.problems.dedup();
    inventory
}

struct Collector<'a> {
    files: Files<'a>,
    uids: HashMap<String, u32>,
    inventory: Inventory,
}

impl Collector<'_> {
    /// Takes the units of one load path, of which a file lies where `wanted` says.
    fn scope(&mut self, scope: &Scope, directories: &[String], wanted: impl Fn(&Path) -> bool) {
        let map = NameMap::scan_in(self.files.root, directories);
        let problems = map.problems.iter().map(ToString::to_string);
        self.inventory.problems.extend(problems);
        let mut hidden: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
        for (name, path) in map.shadowed() {
            hidden.entry(name).or_default().push(path);
        }
        let mut names: BTreeSet<String> = map.names().into_keys().map(str::to_owned).collect();
        names.extend(map.pulled().iter().map(|name| map.canonical(name)));
        for name in names {
            let Ok(name) = UnitName::parse(&name) else {
                continue;
            };
            let (path, masked) = match map.lookup(name.as_str()) {
                Some((Target::File(path), _)) => (path, false),
                Some((Target::Masked(path), _)) => (path, true),
                Some((Target::Alias(..), _)) | None => continue,
            };
            let drop_ins = map.drop_ins(&name);
            let shadows = hidden.get(name.as_str()).cloned().unwrap_or_default();
            if !wanted(path) && !drop_ins.iter().any(|path| wanted(path)) {
                continue;
            }
            if self.inventory.units.len() >= MAX_UNITS {
                let text = format!("more than {MAX_UNITS} units");
                self.inventory.problems.push(text);
                return;
            }
            let aliases = map.aliases(name.as_str());
            let aliases = aliases.into_iter().map(str::to_owned).collect();
            let pulled = map.pulled().contains(name.as_str());
            let unit = self.unit(scope, name, path, masked, &drop_ins, &shadows);
            self.inventory.units.push(UnitFacts {
                aliases,
                pulled,
                ..unit
            });
        }
    }

    fn unit(
        &mut self,
        scope: &Scope,
        name: UnitName,
        path: &Path,
        masked: bool,
        drop_ins: &[PathBuf],
        shadows: &[&PathBuf],
    ) -> UnitFacts {
        let file = self.files.facts(path);
        let empty = file.inode().is_some_and(|inode| inode.size == 0);
        let masked = masked || empty && file.trace.found().is_some();
        let own = if masked {
            UnitFile::default()
        } else {
            self.parse(path)
        };
        let drop_ins: Vec<DropIn> = drop_ins
            .iter()
            .map(|path| DropIn {
                file: self.files.facts(path),
                stem: stem_of(path),
                content: self.parse(path),
            })
            .collect();
        let contents = drop_ins.iter().map(|drop_in| &drop_in.content);
        let merged = UnitFile::merge(std::iter::once(&own).chain(contents));
        let real = file.trace.found();
        let shadows: Vec<FileFacts> = shadows
            .iter()
            .map(|path| self.files.facts(path))
            .filter(|facts| facts.trace.found().is_some() && facts.trace.found() != real)
            .collect();
        for facts in std::iter::once(&file).chain(&shadows) {
            if matches!(facts.owned, Owned::By(_)) {
                self.inventory.packaged.insert(name.as_str().to_owned());
            }
        }
        let (runs_as, missing_user) = self.user(scope, &name, &merged);
        let (commands, environment_files) = if masked {
            (Vec::new(), Vec::new())
        } else {
            self.service(scope, &name, &merged)
        };
        let timer = (name.kind() == UnitType::Timer && !masked).then(|| Timer::new(&name, &merged));
        UnitFacts {
            scope: scope.clone(),
            origin: origin_of(path),
            masked,
            aliases: Vec::new(),
            file,
            own,
            shadows,
            drop_ins,
            merged,
            pulled: false,
            commands,
            environment_files,
            runs_as,
            missing_user,
            timer,
            name,
        }
    }

    fn service(
        &mut self,
        scope: &Scope,
        name: &UnitName,
        merged: &UnitFile,
    ) -> (Vec<CommandFacts>, Vec<FileFacts>) {
        let concrete = match name.is_template() {
            true => UnitName::parse(&format!("{}@{ANY_INSTANCE}.{}", name.prefix(), name.kind())),
            false => Ok(name.clone()),
        };
        let Ok(concrete) = concrete else {
            return (Vec::new(), Vec::new());
        };
        let service = Service::in_section(section_of(name.kind()), &concrete, merged);
        let rooted = ["RootDirectory", "RootImage"].iter().any(|key| {
            merged
                .last(section_of(name.kind()), key)
                .is_some_and(|dir| dir != "/")
        });
        let (home, runtime) = match scope {
            Scope::System => ("/root".to_owned(), "/run".to_owned()),
            Scope::AllUsers => ("%h".to_owned(), "%t".to_owned()),
            Scope::User(uid, name) => (
                accounts::home(self.files.root, name).unwrap_or_else(|| "%h".to_owned()),
                format!("/run/user/{uid}"),
            ),
        };
        let fill = |text: &str| {
            text.replace(ANY_INSTANCE, "%i")
                .replace("%h", &home)
                .replace("%t", &runtime)
        };
        let mut commands = Vec::new();
        for mut command in service.commands {
            command.path = fill(&command.path);
            command.argv = command.argv.iter().map(|word| fill(word)).collect();
            commands.push(command::facts(&mut self.files, command, rooted));
        }
        let mut environment = Vec::new();
        for path in service.environment_files {
            let path = fill(&path);
            if path.starts_with('/') && !path.contains(['%', '*', '?', '[']) {
                environment.push(self.files.facts_with_text(Path::new(&path), true));
            }
        }
        (commands, environment)
    }

    fn user(
        &self,
        scope: &Scope,
        name: &UnitName,
        merged: &UnitFile,
    ) -> (Option<u32>, Option<String>) {
        match scope {
            Scope::User(uid, _) => return (Some(*uid), None),
            Scope::AllUsers => return (None, None),
            Scope::System => {}
        }
        let section = section_of(name.kind());
        if merged.boolean(section, "DynamicUser") == Some(true) {
            return (None, None);
        }
        let Some(user) = merged.last(section, "User") else {
            return (Some(0), None);
        };
        if user.contains('%') {
            return (None, None);
        }
        match user.parse().ok().or_else(|| self.uids.get(user).copied()) {
            Some(uid) => (Some(uid), None),
            None => (None, Some(user.to_owned())),
        }
    }

    fn parse(&mut self, path: &Path) -> UnitFile {
        let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
        match self.files.root.read(path, limit) {
            Ok(bytes) => UnitFile::parse(&bytes).0,
            Err(error) => {
                self.inventory.problems.push(error.to_string());
                UnitFile::default()
            }
        }
    }
}

/// The section that has a unit's commands and user.
fn section_of(kind: UnitType) -> &'static str {
    match kind {
        UnitType::Socket => "Socket",
        UnitType::Mount => "Mount",
        UnitType::Swap => "Swap",
        _ => "Service",
    }
}

fn stem_of(path: &Path) -> String {
    let directory = path.parent().and_then(Path::file_name);
    let name = directory.map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    name.strip_suffix(".d").unwrap_or(&name).to_owned()
}

fn origin_of(path: &Path) -> Origin {
    let directory = path.parent().and_then(Path::file_name);
    match directory.and_then(|name| name.to_str()) {
        Some("transient") => Origin::Transient,
        Some("generator" | "generator.early" | "generator.late") => Origin::Generator,
        _ => Origin::File,
    }
}
