//! Which managers are read, and by which way: one thread, one task for each.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use zbus::Connection;
use zbus::connection::Builder;

use super::fact::{BusFact, Way};
use super::feed::{BusFacts, Feed, Feeds, feeds};
use super::private::{self, Bounds};
use super::tracker::{Ended, Tracker};
use crate::event::Manager;
use crate::host::procs::Seed;
use crate::systemd::cgroup::unit_of_cgroup;

/// Most managers beside PID 1 that are read at a time.
const MANAGERS_MAX: usize = 64;
/// How long to wait before connecting again, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// The same for a manager that has only just started: its socket is there soon.
const STARTING: Duration = Duration::from_millis(50);
/// How long a manager that started may be without its socket before that is told.
const GRACE: Duration = Duration::from_secs(10);
/// How long the bus may take to let us in.
const PATIENCE: Duration = Duration::from_secs(5);
/// PID 1's own socket.
pub(super) const PRIVATE: &str = "/run/systemd/private";

/// Where a manager other than PID 1 is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerSocket {
    /// Whose manager.
    pub manager: Manager,
    /// Its process.
    pub tgid: u32,
    /// Its private socket.
    pub path: PathBuf,
}

impl ManagerSocket {
    /// Of the managers of users and capsules among the processes of the host.
    #[must_use]
    pub fn among(seed: &Seed) -> Vec<Self> {
        let mut sockets: Vec<Self> = Vec::new();
        // Users can put what they like into their manager's group, but not have PID 1 start it.
        let by_pid1 = |tgid: u32| seed.reapers.get(&tgid).is_some_and(|by| by.tgid == 1);
        for process in &seed.processes {
            let tgid = process.key.tgid;
            let cgroup = process.cgroup.as_deref().unwrap_or_default();
            if process.name() == "systemd"
                && by_pid1(tgid)
                && let Some(socket) = Self::of_cgroup(cgroup, tgid)
                && !sockets.iter().any(|known| known.manager == socket.manager)
            {
                sockets.push(socket);
            }
        }
        sockets
    }

    /// Of the user's or capsule's manager `tgid` that runs in a cgroup; `None` for what runs
    /// elsewhere.
    #[must_use]
    pub fn of_cgroup(cgroup: &str, tgid: u32) -> Option<Self> {
        // From 254 the manager is put into this group, before it goes there by itself.
        let service = cgroup.strip_suffix("/init.scope").unwrap_or(cgroup);
        let manager = unit_of_cgroup(&format!("{service}/init.scope")).manager;
        let runtime = match &manager {
            Manager::User(uid) => format!("/run/user/{uid}"),
            Manager::Capsule(name) => format!("/run/capsules/{name}"),
            Manager::Container(_) => return None,
            Manager::System => return None,
        };
        let path = Path::new(&runtime).join("systemd/private");
        Some(Self {
            manager,
            tgid,
            path,
        })
    }
}

/// What managers tell, and who of them is listened to.
#[derive(Debug)]
pub struct Bus {
    /// What they tell.
    pub facts: BusFacts,
    found: Sender<ManagerSocket>,
}

impl Bus {
    /// Reads this manager too, until it ends. PID 1 is read in any case.
    pub fn follow(&self, socket: ManagerSocket) {
        if let Err(error) = self.found.try_send(socket) {
            log::warn!("a manager is not listened to: {error}");
        }
    }
}

/// Starts to read PID 1, in a thread of its own that ends with the receiver.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn track() -> io::Result<Bus> {
    let (feeds, facts) = feeds();
    let (found, managers) = channel(MANAGERS_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("bus".to_owned())
        .spawn(move || runtime.block_on(run(feeds, managers)))?;
    Ok(Bus { facts, found })
}

async fn run(feeds: Feeds, mut managers: Receiver<ManagerSocket>) {
    let system = tokio::spawn(pid1(feeds.of(Manager::System)));
    let mut tasks = HashMap::new();
    while let Some(socket) = managers.recv().await {
        tasks.retain(|_, task: &mut tokio::task::JoinHandle<()>| !task.is_finished());
        let manager = socket.manager.clone();
        // A manager that was started anew, before the end of the old one was noticed.
        if let Some(task) = tasks.remove(&manager) {
            task.abort();
            let _ = task.await;
            feeds.of(manager.clone()).tell(BusFact::Gone);
        }
        let mut feed = feeds.of(manager.clone());
        if tasks.len() >= MANAGERS_MAX {
            let why = format!("{MANAGERS_MAX} managers are read already");
            feed.tell(BusFact::Disconnected(why));
            continue;
        }
        tasks.insert(manager, tokio::spawn(other(feed, socket)));
    }
    system.abort();
}

/// Reads PID 1 until nobody listens.
async fn pid1(mut feed: Feed) {
    let (mut wait, most) = BACK_OFF;
    // A connection that was found to lead to PID 1.
    let mut bus = None;
    let mut prefer = Way::Bus;
    while !feed.is_closed() {
        let (connection, way) = match reach(bus.take(), prefer).await {
            Ok(reached) => reached,
            Err(why) => {
                feed.tell(BusFact::Disconnected(why));
                sleep(wait).await;
                wait = (wait * 2).min(most);
                continue;
            }
        };
        let mut tracker = Tracker::new(connection, way, &mut feed);
        let ended = tracker.read().await;
        if tracker.is_connected() {
            wait = BACK_OFF.0;
        }
        drop(tracker);
        match ended {
            Ended::Lost(why) => {
                // The other way may still be there.
                prefer = match way {
                    Way::Bus => Way::Private,
                    Way::Private => Way::Bus,
                };
                let why = format!("{} ended: {why}", way.as_str());
                feed.tell(BusFact::Disconnected(why));
                sleep(wait).await;
                wait = (wait * 2).min(most);
            }
            Ended::BusIsBack(connection) => {
                bus = Some(connection);
                let why = "the system bus is back, and is read from now on".to_owned();
                feed.tell(BusFact::Disconnected(why));
            }
        }
    }
}

/// Connects to PID 1 by one way or the other.
async fn reach(bus: Option<Connection>, prefer: Way) -> Result<(Connection, Way), String> {
    if let Some(connection) = bus {
        return Ok((connection, Way::Bus));
    }
    let mut why = Vec::new();
    let ways = match prefer {
        Way::Bus => [Way::Bus, Way::Private],
        Way::Private => [Way::Private, Way::Bus],
    };
    for way in ways {
        let connected = match way {
            Way::Bus => system_bus().await,
            Way::Private => private::connect(Path::new(PRIVATE), 1, Bounds::SYSTEM)
                .await
                .map_err(|error| error.to_string()),
        };
        match connected {
            Ok(connection) => return Ok((connection, way)),
            Err(error) => why.push(error),
        }
    }
    Err(why.join("; "))
}

pub(super) async fn system_bus() -> Result<Connection, String> {
    let connected = async {
        let builder = Builder::system()?.max_queued(Bounds::SYSTEM.queue);
        builder.build().await
    };
    match timeout(PATIENCE, connected).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(format!("the system bus: {error}")),
        Err(_) => Err("the system bus does not answer".to_owned()),
    }
}

/// A connection to the system bus, if PID 1 is there.
pub(super) async fn bus_with_pid1() -> Option<Connection> {
    let connection = system_bus().await.ok()?;
    let bus = "org.freedesktop.DBus";
    let asked = connection.call_method(
        Some(bus),
        "/org/freedesktop/DBus",
        Some(bus),
        "NameHasOwner",
        &"org.freedesktop.systemd1",
    );
    let reply = timeout(PATIENCE, asked).await.ok()?.ok()?;
    let there: bool = reply.body().deserialize().ok()?;
    there.then_some(connection)
}

/// Reads another manager until it ends.
async fn other(mut feed: Feed, socket: ManagerSocket) {
    let most = BACK_OFF.1;
    let mut wait = STARTING;
    let mut since = Some(Instant::now());
    while !feed.is_closed() {
        let connected = private::connect(&socket.path, socket.tgid, Bounds::USER).await;
        let why = match connected {
            Ok(connection) => {
                let mut tracker = Tracker::new(connection, Way::Private, &mut feed);
                let ended = tracker.read().await;
                if tracker.is_connected() {
                    (wait, since) = (BACK_OFF.0, None);
                }
                match ended {
                    Ended::Lost(why) => why,
                    Ended::BusIsBack(_) => "moved".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        if !is_alive(socket.tgid) {
            break;
        }
        if since.is_none_or(|since| since.elapsed() >= GRACE) {
            feed.tell(BusFact::Disconnected(why));
            since = None;
        }
        sleep(wait).await;
        wait = (wait * 2).min(most);
    }
    feed.tell(BusFact::Gone);
}

fn is_alive(tgid: u32) -> bool {
    i32::try_from(tgid).is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(cgroup: &str) -> Option<(String, String)> {
        let socket = ManagerSocket::of_cgroup(cgroup, 7)?;
        let path = socket.path.to_string_lossy().into_owned();
        Some((socket.manager.to_string(), path))
    }

    #[test]
    fn sockets_of_managers() {
        let slice = "/user.slice/user-1000.slice";
        let user = Some((
            "user:1000".to_owned(),
            "/run/user/1000/systemd/private".to_owned(),
        ));
        assert_eq!(reached(&format!("{slice}/user@1000.service")), user);
        assert_eq!(
            reached(&format!("{slice}/user@1000.service/init.scope")),
            user
        );
        let capsule = "/capsule.slice/capsule@x.service";
        let expected = (
            "capsule:x".to_owned(),
            "/run/capsules/x/systemd/private".to_owned(),
        );
        assert_eq!(reached(&format!("{capsule}/init.scope")), Some(expected));
        // Somebody's own `systemd --user`, and a container's.
        for other in [
            &format!("{slice}/session-1.scope"),
            "/machine.slice/systemd-nspawn@x.service/payload",
            "/",
        ] {
            assert_eq!(reached(other), None, "{other}");
        }
    }
}
