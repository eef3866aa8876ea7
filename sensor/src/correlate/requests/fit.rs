//! Whether a change that a manager made is what a request asks for.

use crate::event::{Asked, Change, FileClass, Manager, RequestClass, Verb};
use crate::systemd::unit_name::UnitName;

/// How a request fits what a manager did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// By its kind alone.
    Kind,
    /// It names the unit.
    Named,
}

/// The manager that made a change, if one did.
pub(super) fn manager_of(change: &Change) -> Option<Manager> {
    let writer = &change.writer.process;
    if writer.key.tgid == 1 {
        return Some(Manager::System);
    }
    let user = writer.name() == "systemd" && writer.argv.iter().any(|arg| arg == "--user");
    user.then_some(Manager::User(writer.uid))
}

/// The units that a request names: those it makes, and those it is about.
pub(super) fn names(asked: &Asked) -> impl Iterator<Item = &str> {
    let request = asked.request();
    let made = request.into_iter().flat_map(|request| &request.transient);
    let about = asked.units().iter();
    made.map(|unit| unit.unit.as_str())
        .chain(about.map(|unit| base_name(unit)))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a request asks for what a change is.
pub(super) fn fit(asked: &Asked, change: &Change) -> Option<Fit> {
    let request = asked.request()?;
    let place = |name: &str| change.path.contains(name);
    let wanted = match request.class {
        RequestClass::Create => place("/systemd/transient/"),
        RequestClass::Set => {
            place("/systemd/transient/")
                || place("/systemd/system.control/")
                || place("/systemd/user.control/")
        }
        RequestClass::Enable => is_install(change) && !is_removal(change),
        // Reverting removes what was set, too.
        RequestClass::Disable => is_install(change) || is_removal(change),
        _ => false,
    };
    if !wanted {
        return None;
    }
    let mut concerned = vec![base_name(&change.path)];
    concerned.extend(change.unit.as_deref());
    concerned.extend(change.target.as_deref().map(base_name));
    let named = names(asked).any(|name| concerned.iter().any(|unit| is_same(name, unit)));
    if named {
        return Some(Fit::Named);
    }
    // Settings and transient units are named, if the whole message was seen.
    let whole = !request.truncated && request.gap.is_none();
    let exact = matches!(request.class, RequestClass::Create | RequestClass::Set);
    (!(exact && whole)).then_some(Fit::Kind)
}

/// Whether a change is one that enabling, linking or masking makes: a link to a unit.
fn is_install(change: &Change) -> bool {
    let class = matches!(
        change.class,
        FileClass::DependencyLink | FileClass::UnitFile
    );
    class && matches!(change.verb, Verb::Symlink | Verb::Rename | Verb::Unlink)
        || change.class == FileClass::Directory
}

fn is_removal(change: &Change) -> bool {
    matches!(change.verb, Verb::Unlink | Verb::Rmdir)
}

/// Whether both name one unit, or one names the template of the other.
fn is_same(a: &str, b: &str) -> bool {
    let template = |name: &str| {
        let name = UnitName::parse(name).ok()?;
        Some(name.template()?.as_str().to_owned())
    };
    a == b || template(a).is_some_and(|a| a == b) || template(b).is_some_and(|b| a == b)
}
