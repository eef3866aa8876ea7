//! What a manager answers.

use zbus::Message;
use zbus::message::Type;

use super::{ASKED_MAX, Asked, LINKS_MAX_OF_OTHERS, Tracker};
use crate::event::Manager;
use crate::systemd::bus::fact::BusFact;
use crate::systemd::bus::read::{Properties, links, number, text, texts};
use crate::systemd::bus::wire::{ListedJob, ListedUnit, UNIT_NAME_MAX};

impl Tracker<'_> {
    pub(super) async fn reply(&mut self, message: &Message) -> zbus::Result<()> {
        let header = message.header();
        let asked = header
            .reply_serial()
            .and_then(|serial| self.asked.remove(&serial));
        let Some(asked) = asked else { return Ok(()) };
        if message.message_type() == Type::Error {
            match asked {
                Asked::Job(job) => self.feed.tell(BusFact::JobRead { job, found: None }),
                // It is gone, or the bus is: to be asked again.
                Asked::Unit(unit) => drop(self.linked.remove(&unit)),
                _ => {}
            }
            return Ok(());
        }
        let body = message.body();
        self.clock.refresh();
        match asked {
            Asked::Manager => {
                let properties: Properties<'_> = body.deserialize()?;
                self.connected = true;
                let version = text(&properties, "Version");
                self.booting = number(&properties, "FinishTimestampMonotonic") == 0;
                self.feed.tell(BusFact::Connected {
                    way: self.way,
                    version,
                    booting: self.booting,
                });
                let path = properties.get("UnitPath").map_or_else(Vec::new, texts);
                self.feed.tell(BusFact::UnitPath(path));
            }
            Asked::UnitPath => {
                let path = texts(&body.deserialize()?);
                self.feed.tell(BusFact::UnitPath(path));
            }
            Asked::Units => {
                let units: Vec<ListedUnit<'_>> = body.deserialize()?;
                for (unit, _, _, active, ..) in &units {
                    self.bus_state(unit, active);
                }
                for (unit, ..) in units.iter().filter(|(unit, ..)| unit.ends_with(".timer")) {
                    self.timer(unit).await?;
                }
            }
            Asked::Jobs => {
                let jobs: Vec<ListedJob<'_>> = body.deserialize()?;
                for (job, unit, _, _, path, _) in jobs {
                    if unit.len() > UNIT_NAME_MAX {
                        continue;
                    }
                    self.job(job, path.as_str(), unit, true).await?;
                }
            }
            Asked::Timer(timer) => {
                let fact = self.clock.timer(timer, true, &body.deserialize()?);
                self.feed.tell(BusFact::Timer(fact));
            }
            Asked::Unit(unit) => {
                let properties: Properties<'_> = body.deserialize()?;
                let most = match self.feed.manager() {
                    Manager::System => usize::MAX,
                    _ => LINKS_MAX_OF_OTHERS,
                };
                let mut links = links(unit.clone(), &properties, most);
                let own = self.bus_names.remove(&unit);
                links.bus_name = own.or_else(|| self.activatable.get(&unit).cloned());
                self.feed.tell(BusFact::Links(links));
                let fact = self.clock.unit(unit, true, &properties);
                self.feed.tell(BusFact::Unit(fact));
            }
            Asked::BusName(unit) => {
                if let zbus::zvariant::Value::Str(name) = body.deserialize()?
                    && !name.is_empty()
                    && self.bus_names.len() < ASKED_MAX
                {
                    self.bus_names.insert(unit, name.as_str().to_owned());
                }
            }
            Asked::Job(job) => {
                let found = Some(self.clock.job(&body.deserialize()?));
                self.feed.tell(BusFact::JobRead { job, found });
            }
        }
        Ok(())
    }
}
