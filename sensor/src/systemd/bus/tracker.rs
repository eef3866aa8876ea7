//! One connection to a manager: what is subscribed to, asked for, and asked again after a reload.

mod reply;

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream};

use super::fact::{BusFact, Way};
use super::feed::Feed;
use super::follow::bus_with_pid1;
use super::names::{unit_of_path, unit_path};
use super::read::{Clock, Properties, number};
use super::services::{SYSTEM_SERVICES, activatable};
use super::wire::{
    JOB, JobSignal, MANAGER, MANAGER_PATH, PROPERTIES, RULES, SERVICE, TIMER, UNIT, UNIT_NAME_MAX,
    call, matters,
};
use crate::event::Manager;

/// Most questions that wait for an answer; more are not asked.
const ASKED_MAX: usize = 4096;
/// Most units whose dependencies count as read.
const LINKED_MAX: usize = 16_384;
/// Most dependencies of one kind that are kept of a unit of a manager that is not PID 1.
const LINKS_MAX_OF_OTHERS: usize = 32;
/// How long a manager may take to say who it is, and to take a question.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many messages a manager that is not PID 1 may send in the time given: more would be work
/// that its user makes for the agent.
const PACE: (u32, Duration) = (20_000, Duration::from_secs(10));
/// How long to wait before looking for the bus again, at first and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Services that are the system bus.
const BUSES: [&str; 2] = ["dbus.service", "dbus-broker.service"];

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection is of no use any more.
    Lost(String),
    /// PID 1 can be read from the bus again: by this connection.
    BusIsBack(Connection),
}

/// What was asked, by the serial of the question.
#[derive(Debug)]
enum Asked {
    Manager,
    UnitPath,
    Units,
    Jobs,
    Timer(String),
    Unit(String),
    BusName(String),
    Job(u32),
}

pub(super) struct Tracker<'a> {
    connection: Connection,
    way: Way,
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
    /// Whether the host boots, as far as is known.
    booting: bool,
    /// When to look for the bus, while PID 1 is read by its private socket and says that the bus
    /// runs.
    look: Option<(Instant, Duration)>,
    pace: (Instant, u32),
    messages: u64,
    questions: u64,
}

impl<'a> Tracker<'a> {
    pub(super) fn new(connection: Connection, way: Way, feed: &'a mut Feed) -> Self {
        Self {
            connection,
            way,
            feed,
            clock: Clock::default(),
            asked: HashMap::new(),
            linked: HashSet::new(),
            bus_names: HashMap::new(),
            activatable: HashMap::new(),
            connected: false,
            booting: true,
            look: None,
            pace: (Instant::now(), 0),
            messages: 0,
            questions: 0,
        }
    }

    /// Whether the manager ever answered.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Reads until the connection is of no use any more, and says why.
    pub(super) async fn read(&mut self) -> Ended {
        let mut stream = MessageStream::from(&self.connection);
        if let Err(error) = self.start().await {
            return Ended::Lost(error.to_string());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let look = self.look.map_or(deadline, |(at, _)| at);
            let message = tokio::select! {
                biased;
                message = next(&mut stream) => message,
                () = sleep_until(deadline), if !self.connected => {
                    return Ended::Lost("the manager does not answer".to_owned());
                }
                () = sleep_until(look), if self.look.is_some() => {
                    match bus_with_pid1().await {
                        Some(bus) => return Ended::BusIsBack(bus),
                        None => self.look = self.look.map(|(_, wait)| {
                            (Instant::now() + wait, (wait * 2).min(LOOK_AGAIN.1))
                        }),
                    }
                    continue;
                }
            };
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Ended::Lost(error.to_string()),
                None => return Ended::Lost("the connection was closed".to_owned()),
            };
            if self.feed.is_closed() {
                return Ended::Lost("nobody listens".to_owned());
            }
            self.messages += 1;
            if self.is_too_fast() {
                return Ended::Lost("it sends more than is read of a user's manager".to_owned());
            }
            if let Err(error) = self.message(&message).await {
                // A message of another shape than documented says nothing; the bus goes on.
                match error {
                    zbus::Error::InputOutput(_) => return Ended::Lost(error.to_string()),
                    other => log::debug!("{}: {other}", self.feed.manager()),
                }
            }
        }
    }

    fn say_costs(&self) {
        let Self {
            messages,
            questions,
            ..
        } = self;
        let manager = self.feed.manager();
        log::debug!("{manager}: {messages} messages read, {questions} sent");
    }

    fn is_too_fast(&mut self) -> bool {
        if *self.feed.manager() == Manager::System {
            return false;
        }
        let (since, count) = &mut self.pace;
        if since.elapsed() >= PACE.1 {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count > PACE.0
    }

    /// Listens first, then asks: nothing falls in between.
    async fn start(&mut self) -> zbus::Result<()> {
        if self.way == Way::Private {
            // All signals come unasked.
            return self.introduce().await;
        }
        for rule in RULES {
            let message = Message::method_call("/org/freedesktop/DBus", "AddMatch")?
                .destination("org.freedesktop.DBus")?
                .interface("org.freedesktop.DBus")?
                .build(&rule)?;
            self.send(&message).await?;
        }
        self.subscribe().await
    }

    async fn subscribe(&mut self) -> zbus::Result<()> {
        let message = call(MANAGER_PATH, MANAGER, "Subscribe")?.build(&())?;
        self.send(&message).await?;
        self.introduce().await
    }

    async fn introduce(&mut self) -> zbus::Result<()> {
        self.all(MANAGER_PATH, MANAGER, Asked::Manager).await?;
        self.look_around().await
    }

    /// Asks for what is there: units for their timers, and jobs.
    async fn look_around(&mut self) -> zbus::Result<()> {
        self.linked.clear();
        if *self.feed.manager() == Manager::System {
            self.activatable = activatable(&SYSTEM_SERVICES);
        }
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
        self.send(&message).await
    }

    /// Sends, unless the manager does not take it: then it is not to be waited for.
    async fn send(&mut self, message: &Message) -> zbus::Result<()> {
        self.questions += 1;
        match timeout(PATIENCE, self.connection.send(message)).await {
            Ok(sent) => sent,
            Err(_) => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Err(zbus::Error::InputOutput(late.into()))
            }
        }
    }

    async fn unit_path(&mut self) -> zbus::Result<()> {
        let message = call(MANAGER_PATH, PROPERTIES, "Get")?.build(&(MANAGER, "UnitPath"))?;
        self.ask(message, Asked::UnitPath).await
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
            "PropertiesChanged" => self.changed(path, message).await,
            "JobNew" | "JobRemoved" => {
                let (job, path, unit, _result): JobSignal<'_> = match member {
                    "JobNew" => {
                        let (job, path, unit) = body.deserialize()?;
                        (job, path, unit, "")
                    }
                    _ => body.deserialize()?,
                };
                if unit.len() > UNIT_NAME_MAX {
                    return Ok(());
                }
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
                if unit.ends_with(".device") && unit.len() <= UNIT_NAME_MAX {
                    self.feed.tell(BusFact::UnitNew(unit.to_owned()));
                }
                Ok(())
            }
            "UnitRemoved" => {
                let (unit, _): (&str, zbus::zvariant::ObjectPath<'_>) = body.deserialize()?;
                self.linked.remove(unit);
                if unit.len() <= UNIT_NAME_MAX {
                    self.feed.tell(BusFact::UnitRemoved(unit.to_owned()));
                }
                Ok(())
            }
            "Reloading" => {
                let begins: bool = body.deserialize()?;
                self.feed.tell(BusFact::Reloading(begins));
                if !begins {
                    self.booting = false;
                    self.say_costs();
                    self.unit_path().await?;
                    self.look_around().await?;
                }
                Ok(())
            }
            "UnitFilesChanged" => self.unit_path().await,
            "NameOwnerChanged" if self.way == Way::Bus => {
                let (_, before, owner): (&str, &str, &str) = body.deserialize()?;
                // PID 1 is executed anew. What it did until it was back nobody told.
                if !before.is_empty() {
                    let why = "PID 1 left the system bus".to_owned();
                    self.feed.tell(BusFact::Disconnected(why));
                }
                if owner.is_empty() {
                    return Ok(());
                }
                self.asked.clear();
                self.subscribe().await
            }
            _ => Ok(()),
        }
    }

    /// On the way to PID 1 that is not the bus: whether the bus can be tried.
    fn bus_state(&mut self, unit: &str, active: &str) {
        let pid1 = *self.feed.manager() == Manager::System;
        if pid1 && self.way == Way::Private && BUSES.contains(&unit) {
            let at = (Instant::now() + LOOK_AGAIN.0, LOOK_AGAIN.0 * 2);
            self.look = (active == "active").then_some(at);
        }
    }

    async fn changed(&mut self, path: &str, message: &Message) -> zbus::Result<()> {
        let Some(unit) = unit_of_path(path) else {
            return Ok(());
        };
        let body = message.body();
        let (interface, properties, _): (&str, Properties<'_>, Vec<&str>) = body.deserialize()?;
        self.clock.refresh();
        let fact = match interface {
            TIMER => BusFact::Timer(self.clock.timer(unit, false, &properties)),
            UNIT if !matters(&unit) && !unit.ends_with(".device") => return Ok(()),
            UNIT => {
                let fact = self.clock.unit(unit, false, &properties);
                self.bus_state(&fact.unit, &fact.active);
                let starts = matches!(fact.active.as_str(), "activating" | "active");
                if self.booting && starts && fact.unit.ends_with(".service") {
                    let unit = fact.unit.clone();
                    self.feed.tell(BusFact::Unit(fact));
                    // The job may be from before anybody listened, and nothing else asks.
                    return self.unit(&unit).await;
                }
                BusFact::Unit(fact)
            }
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
}

impl Drop for Tracker<'_> {
    fn drop(&mut self) {
        self.say_costs();
    }
}

async fn next(stream: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
