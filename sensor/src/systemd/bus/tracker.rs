//! The connection: what is subscribed to, asked for, and asked again after a reload.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use zbus::connection::Builder;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream};

use super::fact::BusFact;
use super::feed::{BusFacts, Feed, feed};
use super::names::{unit_of_path, unit_path};
use super::read::{Clock, Properties, links, number, text};
use super::services::{SYSTEM_SERVICES, activatable};
use super::wire::{
    JOB, JobSignal, ListedJob, ListedUnit, MANAGER, MANAGER_PATH, PROPERTIES, RULES, SERVICE,
    TIMER, UNIT, call, matters,
};

/// Messages that may wait for this thread.
const ROOM: usize = 4096;
/// Most questions that wait for an answer; more are not asked.
const ASKED_MAX: usize = 4096;
/// Most units whose dependencies count as read.
const LINKED_MAX: usize = 16_384;
/// How long to wait before connecting again, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Starts to read the system bus, in a thread of its own that ends with the receiver.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn track() -> std::io::Result<BusFacts> {
    let (feed, facts) = feed();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("bus".to_owned())
        .spawn(move || runtime.block_on(run(feed)))?;
    Ok(facts)
}

async fn run(mut feed: Feed) {
    let (mut wait, most) = BACK_OFF;
    while !feed.is_closed() {
        let reason = match connect().await {
            Ok((connection, stream)) => {
                let mut tracker = Tracker {
                    connection,
                    feed: &mut feed,
                    clock: Clock::default(),
                    asked: HashMap::new(),
                    linked: HashSet::new(),
                    bus_names: HashMap::new(),
                    activatable: HashMap::new(),
                    connected: false,
                };
                let reason = tracker.read(stream).await;
                if tracker.connected {
                    wait = BACK_OFF.0;
                }
                reason
            }
            Err(error) => error,
        };
        feed.tell(BusFact::Disconnected(reason.to_string()));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(most);
    }
}

async fn connect() -> zbus::Result<(Connection, MessageStream)> {
    let connection = Builder::system()?.max_queued(ROOM).build().await?;
    let stream = MessageStream::from(&connection);
    Ok((connection, stream))
}

/// What was asked, by the serial of the question.
#[derive(Debug)]
enum Asked {
    Manager,
    Units,
    Jobs,
    Timer(String),
    Unit(String),
    BusName(String),
    Job(u32),
}

struct Tracker<'a> {
    connection: Connection,
    feed: &'a mut Feed,
    clock: Clock,
    asked: HashMap<NonZeroU32, Asked>,
    /// Units whose dependencies were asked for since the last reload.
    linked: HashSet<String>,
    /// Bus names of units whose dependencies are on the way.
    bus_names: HashMap<String, String>,
    /// Bus names by the units that the bus has started for them.
    activatable: HashMap<String, String>,
    connected: bool,
}

impl Tracker<'_> {
    /// Reads until the bus ends, and says why it did.
    async fn read(&mut self, mut stream: MessageStream) -> zbus::Error {
        if let Err(error) = self.start().await {
            return error;
        }
        loop {
            let message = match poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return error,
                None => return zbus::Error::Failure("the bus closed the connection".to_owned()),
            };
            if self.feed.is_closed() {
                return zbus::Error::Failure("nobody listens".to_owned());
            }
            if let Err(error) = self.message(&message).await {
                // A message of another shape than documented says nothing; the bus goes on.
                match error {
                    zbus::Error::InputOutput(_) => return error,
                    other => log::debug!("bus: {other}"),
                }
            }
        }
    }

    /// Listens first, then asks: nothing falls in between.
    async fn start(&mut self) -> zbus::Result<()> {
        for rule in RULES {
            let message = Message::method_call("/org/freedesktop/DBus", "AddMatch")?
                .destination("org.freedesktop.DBus")?
                .interface("org.freedesktop.DBus")?
                .build(&rule)?;
            self.connection.send(&message).await?;
        }
        self.subscribe().await
    }

    async fn subscribe(&mut self) -> zbus::Result<()> {
        let message = call(MANAGER_PATH, MANAGER, "Subscribe")?.build(&())?;
        self.connection.send(&message).await?;
        self.all(MANAGER_PATH, MANAGER, Asked::Manager).await?;
        self.look_around().await
    }

    /// Asks for what is there: units for their timers, and jobs.
    async fn look_around(&mut self) -> zbus::Result<()> {
        self.linked.clear();
        self.activatable = activatable(&SYSTEM_SERVICES);
        let message = call(MANAGER_PATH, MANAGER, "ListUnits")?.build(&())?;
        self.ask(message, Asked::Units).await?;
        let message = call(MANAGER_PATH, MANAGER, "ListJobs")?.build(&())?;
        self.ask(message, Asked::Jobs).await
    }

    async fn ask(&mut self, message: Message, what: Asked) -> zbus::Result<()> {
        if self.asked.len() >= ASKED_MAX {
            log::debug!("bus: too many questions wait, not asked: {what:?}");
            return Ok(());
        }
        self.asked
            .insert(message.primary_header().serial_num(), what);
        self.connection.send(&message).await
    }

    /// Asks for all properties of one interface.
    async fn all(&mut self, path: &str, interface: &str, what: Asked) -> zbus::Result<()> {
        let message = call(path, PROPERTIES, "GetAll")?.build(&interface)?;
        self.ask(message, what).await
    }

    async fn message(&mut self, message: &Message) -> zbus::Result<()> {
        match message.message_type() {
            Type::Signal => self.signal(message).await,
            Type::MethodReturn | Type::Error => self.reply(message).await,
            Type::MethodCall => Ok(()),
        }
    }

    async fn signal(&mut self, message: &Message) -> zbus::Result<()> {
        let header = message.header();
        let body = message.body();
        let member = header.member().map_or("", |member| member.as_str());
        let path = header.path().map_or("", |path| path.as_str());
        match member {
            "PropertiesChanged" => self.changed(path, message),
            "JobNew" | "JobRemoved" => {
                let (job, path, unit, _result): JobSignal<'_> = match member {
                    "JobNew" => {
                        let (job, path, unit) = body.deserialize()?;
                        (job, path, unit, "")
                    }
                    _ => body.deserialize()?,
                };
                if member == "JobRemoved" {
                    let unit = unit.to_owned();
                    self.feed.tell(BusFact::JobRemoved { job, unit });
                    return Ok(());
                }
                self.job(job, path.as_str(), unit, false).await
            }
            "UnitNew" => {
                let (unit, _): (&str, zbus::zvariant::ObjectPath<'_>) = body.deserialize()?;
                // After a reload the first announcement stands for the first change, which may be
                // a firing. Only what is known to be loaded is asked about: see `job`.
                if unit.ends_with(".timer") && self.linked.contains(unit) {
                    let asked = Asked::Timer(unit.to_owned());
                    self.all(&unit_path(unit), TIMER, asked).await?;
                }
                // It comes without a job, and may want services.
                if unit.ends_with(".device") {
                    self.feed.tell(BusFact::UnitNew(unit.to_owned()));
                }
                Ok(())
            }
            "UnitRemoved" => {
                let (unit, _): (&str, zbus::zvariant::ObjectPath<'_>) = body.deserialize()?;
                self.linked.remove(unit);
                self.feed.tell(BusFact::UnitRemoved(unit.to_owned()));
                Ok(())
            }
            "Reloading" => {
                let begins: bool = body.deserialize()?;
                self.feed.tell(BusFact::Reloading(begins));
                if !begins {
                    self.look_around().await?;
                }
                Ok(())
            }
            "NameOwnerChanged" => {
                let (_, _, owner): (&str, &str, &str) = body.deserialize()?;
                // PID 1 was executed anew, or came back to the bus.
                if !owner.is_empty() {
                    self.subscribe().await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn changed(&mut self, path: &str, message: &Message) -> zbus::Result<()> {
        let Some(unit) = unit_of_path(path) else {
            return Ok(());
        };
        let body = message.body();
        let (interface, properties, _): (&str, Properties<'_>, Vec<&str>) = body.deserialize()?;
        self.clock.refresh();
        let fact = match interface {
            TIMER => BusFact::Timer(self.clock.timer(unit, false, &properties)),
            UNIT if !matters(&unit) && !unit.ends_with(".device") => return Ok(()),
            UNIT => BusFact::Unit(self.clock.unit(unit, false, &properties)),
            SERVICE if properties.contains_key("NRestarts") => {
                let count = u32::try_from(number(&properties, "NRestarts")).unwrap_or(u32::MAX);
                BusFact::Restarts { unit, count }
            }
            _ => return Ok(()),
        };
        self.feed.tell(fact);
        Ok(())
    }

    /// A job: what it is about has to be asked while it lives.
    async fn job(&mut self, job: u32, path: &str, unit: &str, standing: bool) -> zbus::Result<()> {
        let name = unit.to_owned();
        self.feed.tell(BusFact::JobNew {
            job,
            unit: name,
            standing,
        });
        if !matters(unit) {
            return Ok(());
        }
        self.all(path, JOB, Asked::Job(job)).await?;
        // A timer can elapse once it was started. To ask about a unit that is not loaded loads it,
        // so nothing is asked because a unit was loaded.
        if unit.ends_with(".timer") {
            return self.timer(unit).await;
        }
        self.unit(unit).await
    }

    /// Asks for a unit's dependencies, once between reloads.
    async fn unit(&mut self, unit: &str) -> zbus::Result<()> {
        if self.linked.len() >= LINKED_MAX {
            self.linked.clear();
        }
        if !self.linked.insert(unit.to_owned()) {
            return Ok(());
        }
        let path = unit_path(unit);
        if unit.ends_with(".service") {
            let message = call(&path, PROPERTIES, "Get")?.build(&(SERVICE, "BusName"))?;
            self.ask(message, Asked::BusName(unit.to_owned())).await?;
        }
        self.all(&path, UNIT, Asked::Unit(unit.to_owned())).await
    }

    async fn timer(&mut self, timer: &str) -> zbus::Result<()> {
        if self.linked.contains(timer) {
            return Ok(());
        }
        let asked = Asked::Timer(timer.to_owned());
        self.all(&unit_path(timer), TIMER, asked).await?;
        self.unit(timer).await
    }

    async fn reply(&mut self, message: &Message) -> zbus::Result<()> {
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
                self.feed.tell(BusFact::Connected {
                    version: text(&properties, "Version"),
                    booting: number(&properties, "FinishTimestampMonotonic") == 0,
                });
            }
            Asked::Units => {
                let units: Vec<ListedUnit<'_>> = body.deserialize()?;
                for (unit, ..) in units.iter().filter(|(unit, ..)| unit.ends_with(".timer")) {
                    self.timer(unit).await?;
                }
            }
            Asked::Jobs => {
                let jobs: Vec<ListedJob<'_>> = body.deserialize()?;
                for (job, unit, _, _, path, _) in jobs {
                    self.job(job, path.as_str(), unit, true).await?;
                }
            }
            Asked::Timer(timer) => {
                let fact = self.clock.timer(timer, true, &body.deserialize()?);
                self.feed.tell(BusFact::Timer(fact));
            }
            Asked::Unit(unit) => {
                let properties: Properties<'_> = body.deserialize()?;
                let mut links = links(unit.clone(), &properties);
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
