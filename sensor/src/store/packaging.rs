//! What package managers had to do with a change, as the database spells it.

use serde::{Deserialize, Serialize};

use crate::event::{Actor, PackageFile, Packaging, Shipped, Transaction};

const SHIPPED: [Shipped; 4] = [
    Shipped::Same,
    Shipped::Different,
    Shipped::NoDigest,
    Shipped::NoContent,
];

/// [`Packaging`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackagingWords {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerWords>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunWords>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OwnerWords {
    package: String,
    #[serde(default)]
    version: Option<String>,
    shipped: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct RunWords {
    /// Which of the writer and its ancestors the package manager is: 0 is the writer. It is kept
    /// with them.
    manager: usize,
    verified: bool,
    #[serde(default)]
    package: Option<String>,
}

fn chain(writer: &Actor) -> impl Iterator<Item = &std::sync::Arc<crate::event::Process>> {
    std::iter::once(&writer.process).chain(&writer.ancestry)
}

impl PackagingWords {
    pub(super) fn of(packaging: &Packaging, writer: &Actor) -> Self {
        let owner = packaging.owner.as_ref().map(|owner| OwnerWords {
            package: owner.package.clone(),
            version: owner.version.clone(),
            shipped: owner.shipped.as_str().to_owned(),
        });
        let run = packaging.transaction.as_ref().and_then(|run| {
            let is_it = |process: &_| std::sync::Arc::ptr_eq(process, &run.manager);
            let by_key = || chain(writer).position(|process| process.key == run.manager.key);
            Some(RunWords {
                manager: chain(writer).position(is_it).or_else(by_key)?,
                verified: run.verified,
                package: run.package.clone(),
            })
        });
        Self { owner, run }
    }

    /// Back, for the same writer. A word of a later version, or a manager that is not among the
    /// writer's ancestors any more, says nothing.
    pub(super) fn packaging(self, writer: Option<&Actor>) -> Option<Packaging> {
        let owner = self.owner.and_then(|owner| {
            let mut known = SHIPPED.into_iter();
            let shipped = known.find(|word| word.as_str() == owner.shipped)?;
            Some(PackageFile {
                package: owner.package,
                version: owner.version,
                shipped,
            })
        });
        let transaction = self.run.and_then(|run| {
            Some(Transaction {
                manager: chain(writer?).nth(run.manager)?.clone(),
                verified: run.verified,
                package: run.package,
            })
        });
        (owner.is_some() || transaction.is_some()).then_some(Packaging { transaction, owner })
    }

    /// The text of a column. `None` for nothing to say.
    pub(super) fn text(packaging: Option<&Packaging>, writer: &Actor) -> Option<String> {
        serde_json::to_string(&Self::of(packaging?, writer)).ok()
    }

    pub(super) fn read(text: Option<&str>, writer: Option<&Actor>) -> Option<Packaging> {
        serde_json::from_str::<Self>(text?).ok()?.packaging(writer)
    }
}
