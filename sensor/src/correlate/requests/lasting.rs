//! Requests that matter for as long as the host runs: who started a timer, who had a file read.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::fit::names;
use crate::event::{
    Actor, Asked, Grade, Login, Manager, OnBehalfOf, ProcessKey, RequestClass, Timestamp,
};

/// Most units whose last starts are kept, and starts of one unit.
pub(super) const UNITS_MAX: usize = 2048;
const STARTS_MAX: usize = 4;
/// Most reloads that are kept.
const RELOADS_MAX: usize = 64;

/// A request of which more than a while later it matters who made it: a start, or a reload.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// `metadata.uid` of its event.
    pub uid: String,
    /// When.
    pub time: Timestamp,
    /// Who was asked.
    pub manager: Manager,
    /// Who asked.
    pub author: Actor,
    /// Where the author's session comes from.
    pub login: Login,
    /// What was called.
    pub method: String,
    /// What for.
    pub class: RequestClass,
    /// The units to start.
    pub units: Vec<String>,
}

impl Lasting {
    /// `None` for a request that is of no concern once it was carried out.
    #[must_use]
    pub fn of(uid: &str, time: Timestamp, asked: &Asked) -> Option<Self> {
        let class = asked.class();
        let units: Vec<String> = match class {
            RequestClass::Start | RequestClass::Create => names(asked).map(str::to_owned).collect(),
            RequestClass::Reload => Vec::new(),
            _ => return None,
        };
        Some(Self {
            uid: uid.to_owned(),
            time,
            manager: asked.manager.clone(),
            author: asked.author.clone(),
            login: asked.login.clone(),
            method: asked.method(),
            class,
            units,
        })
    }

    pub(super) fn author(&self) -> ProcessKey {
        self.author.process.key
    }

    pub(super) fn is_trusted(&self) -> bool {
        is_trusted(&self.manager, &self.author)
    }

    pub(super) fn on_behalf_of(&self, (grade, doubt): (Grade, Option<&'static str>)) -> OnBehalfOf {
        OnBehalfOf {
            author: self.author.clone(),
            login: self.login.clone(),
            grade,
            method: self.method.clone(),
            class: self.class,
            event_uid: self.uid.clone(),
            time: self.time,
            doubt,
            transient: Vec::new(),
            health_check: false,
        }
    }
}

/// Whether a manager does what this author asks without asking anybody else.
pub(super) fn is_trusted(manager: &Manager, author: &Actor) -> bool {
    match manager {
        Manager::System => author.process.euid == 0,
        _ => true,
    }
}

/// The latest of them.
#[derive(Debug, Default)]
pub(super) struct Lastings {
    by_unit: HashMap<(Manager, String), VecDeque<Arc<Lasting>>>,
    /// Units in the order in which they were first asked for.
    order: VecDeque<(Manager, String)>,
    reloads: VecDeque<Arc<Lasting>>,
}

impl Lastings {
    pub(super) fn note(&mut self, lasting: Lasting) {
        let lasting = Arc::new(lasting);
        if lasting.class == RequestClass::Reload {
            if self.reloads.len() >= RELOADS_MAX {
                self.reloads.pop_front();
            }
            self.reloads.push_back(lasting);
            return;
        }
        for unit in &lasting.units {
            let key = (lasting.manager.clone(), unit.clone());
            if !self.by_unit.contains_key(&key) {
                while self.by_unit.len() >= UNITS_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.by_unit.remove(&oldest);
                }
                self.order.push_back(key.clone());
            }
            let starts = self.by_unit.entry(key).or_default();
            if starts.len() >= STARTS_MAX {
                starts.pop_front();
            }
            starts.push_back(Arc::clone(&lasting));
        }
    }

    pub(super) fn starts(
        &self,
        manager: &Manager,
        unit: &str,
    ) -> impl Iterator<Item = &Arc<Lasting>> {
        let starts = self.by_unit.get(&(manager.clone(), unit.to_owned()));
        starts.into_iter().flatten()
    }

    pub(super) fn reloads(&self) -> impl Iterator<Item = &Arc<Lasting>> {
        self.reloads.iter()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_unit.len().max(self.order.len())
    }
}
