//! Who may write to what managers read, and to what says who may manage units.

use std::collections::BTreeMap;

use super::targets::{fix_of, mode_of, severity_of};
use super::{of_path, ownership, quoted};
use crate::detect::techniques::{T1053_006, T1222_002, T1543_002, T1548_003};
use crate::event::{Posture, Rule, Severity};
use crate::host::access::{Hole, holes};
use crate::host::rooted::Step;
use crate::systemd::inventory::{FileFacts, Inventory, Owned};
use crate::systemd::load_path::Area;

pub(super) static WRITABLE: Rule = Rule {
    id: "unit-place-writable",
    title: "Somebody other than root can write to what a manager reads",
    techniques: &[T1543_002, T1053_006, T1222_002],
    is_analytic: false,
    severity: "critical when everybody can; high for users and groups with members; informational for a group \
               without members",
    explanation: "Whoever can write to a unit directory, a unit file, a generator or a manager's configuration \
                  can run anything as root at the next boot or reload.",
    check: "Since when is it so? What was changed meanwhile? `find DIR -newer FILE`.",
    silence: "Run the fix.",
};

pub(super) static GENERATOR: Rule = Rule {
    id: "generator-unowned",
    title: "A generator is not as a package brought it",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "high",
    explanation: "Generators run as root at boot and at each reload, before everything else.",
    check: "What does it do, and who put it there?",
    silence: "Remove it; or package it, so that its digest is known.",
};

pub(super) static RULES_WRITABLE: Rule = Rule {
    id: "privilege-rules-writable",
    title: "Somebody other than root can write to the rules of sudo or polkit",
    techniques: &[T1548_003, T1222_002],
    is_analytic: false,
    severity: "critical when everybody can; high for users and groups with members; informational for a group \
               without members",
    explanation: "Whoever can write the rules can give himself every right.",
    check: "`visudo -c`; what do the rules say now?",
    silence: "Run the fix.",
};

#[derive(Default)]
struct Affected<'a> {
    holes: Vec<Hole>,
    step: Option<&'a Step>,
    leads_to: Vec<String>,
    count: usize,
}

pub(super) fn all(inventory: &Inventory, results: &mut Vec<Posture>) {
    let places = inventory.places.iter().map(|place| {
        let mut trusted = vec![0];
        trusted.extend(place.user);
        (&place.file, trusted)
    });
    writable(inventory, &WRITABLE, places, results);
    // polkitd decides by its rules in any case; Debian gives it their directories.
    let polkit = inventory
        .accounts
        .iter()
        .filter(|it| it.name == "polkitd")
        .map(|it| it.uid);
    let polkit: Vec<u32> = polkit.chain([0]).collect();
    let rules = inventory.rules.iter().map(|file| {
        let own = file
            .path
            .components()
            .any(|part| part.as_os_str() == "polkit-1");
        (file, if own { polkit.clone() } else { vec![0] })
    });
    writable(inventory, &RULES_WRITABLE, rules, results);
    for place in &inventory.places {
        if matches!(place.area, Area::Generators | Area::EnvironmentGenerators) {
            generator(&place.file, results);
        }
    }
}

/// One result for each file or directory that is open, with what it leads to.
fn writable<'a>(
    inventory: &Inventory,
    entry: &'static Rule,
    files: impl Iterator<Item = (&'a FileFacts, Vec<u32>)>,
    results: &mut Vec<Posture>,
) {
    let mut open: BTreeMap<String, Affected<'a>> = BTreeMap::new();
    for (file, trusted) in files {
        // Of a link to the outside, as a mask, the way to it is what counts; units are looked at
        // on their own.
        for hole in holes(&file.trace, &trusted) {
            let affected = open.entry(hole.to_string()).or_default();
            affected.step = file.trace.steps.iter().find(|step| step.path == hole.path);
            if !affected.holes.contains(&hole) {
                affected.holes.push(hole);
            }
            affected.count += 1;
            if affected.leads_to.len() < 5 {
                affected.leads_to.push(file.path.display().to_string());
            }
        }
    }
    for (path, affected) in open {
        // `/dev/null` is for everybody to write to.
        let device = affected
            .step
            .is_some_and(|step| step.inode.is(libc::S_IFCHR));
        let worst = affected
            .holes
            .iter()
            .map(|hole| severity_of(inventory, hole.writer))
            .max();
        let Some(severity) = worst.filter(|_| !device) else {
            continue;
        };
        let holes: Vec<&Hole> = affected.holes.iter().collect();
        let who: Vec<_> = holes
            .iter()
            .map(|hole| inventory.names.writer(hole.writer))
            .collect();
        let message = format!("{} can write to {path}", who.join(", "));
        let mut result = of_path(entry, &path, severity, message);
        result.evidence.extend(affected.step.map(mode_of));
        let shown = affected.leads_to.len();
        let leads = affected.leads_to.into_iter().filter(|it| *it != path);
        result
            .evidence
            .extend(leads.map(|it| format!("leads to {it}")));
        if affected.count > shown {
            result
                .evidence
                .push(format!("and {} more", affected.count - shown));
        }
        result.fix = Some(fix_of(&path, &holes));
        results.push(result);
    }
}

fn generator(file: &FileFacts, results: &mut Vec<Posture>) {
    let Some(inode) = file.inode() else { return };
    let runs = inode.is(libc::S_IFREG) && inode.mode & 0o111 != 0;
    if !runs || file.is_shipped() || file.owned == Owned::Unknown {
        return;
    }
    let path = file.path.display().to_string();
    let message = format!(
        "{path} runs as root at each reload, and is {}",
        match file.owned {
            Owned::No => "no package's",
            _ => "not as its package brought it",
        }
    );
    let mut result = of_path(&GENERATOR, &path, Severity::High, message);
    result.evidence.push(ownership(file));
    result
        .evidence
        .extend(file.sha256.as_ref().map(|it| format!("SHA-256 {it}")));
    result.fix = Some(format!("rm -- {}", quoted(&path)));
    results.push(result);
}
