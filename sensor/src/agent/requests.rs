//! From what was sent to managers to requests with their authors.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use whodunit_common::{message_flags, socket_flags};

use super::{
    Agent,
    streams::{Silent, Streams},
    who::actor,
};
use crate::{
    correlate::Lasting,
    detect::{Detector, environment_asked},
    event::{Actor, Asked, Body, Event, Health, Login, Manager, Means, Process, ProcessKey, Tier},
    host::peer,
    kernel::{
        ConnectSeen, Listener, MessageSeen, SignalSeen, SocketSeen, Sockets, TaskSeen, Throttled,
    },
};

/// Most sshd processes whose peers are remembered.
const PEERS_MAX: usize = 1024;
/// How often it is looked which sockets there are, in nanoseconds.
const SOCKETS_INTERVAL: u64 = 5_000_000_000;
/// Most user managers whose sockets are listed.
const USERS_MAX: usize = 256;

/// What is known of those who ask and of where they ask.
pub(crate) struct Requests {
    sockets: Sockets,
    streams: Streams,
    silent: Silent,
    /// Keys of user managers.
    managers: HashMap<u32, ProcessKey>,
    peers: HashMap<ProcessKey, Option<std::net::SocketAddr>>,
    looked: u64,
    tier: Option<Tier>,
}

/// Sockets of PID 1 and the system bus, and the FIFO of systemd-initctl.
const SYSTEM: [(&str, u32); 5] = [
    ("/run/systemd/private", socket_flags::PRIVATE),
    ("/run/dbus/system_bus_socket", socket_flags::BUS),
    ("/run/systemd/io.systemd.Manager", socket_flags::VARLINK),
    ("/run/initctl", socket_flags::INITCTL),
    ("/dev/initctl", socket_flags::INITCTL),
];
/// Sockets of a user's manager and bus, below the runtime directory.
const USER: [(&str, u32); 3] = [
    ("systemd/private", socket_flags::PRIVATE),
    ("bus", socket_flags::BUS),
    ("systemd/io.systemd.Manager", socket_flags::VARLINK),
];

impl Requests {
    pub(crate) fn new(sockets: Sockets, tier: Option<Tier>) -> Self {
        Self {
            sockets,
            streams: Streams::default(),
            silent: Silent::default(),
            managers: HashMap::new(),
            peers: HashMap::new(),
            looked: 0,
            tier,
        }
    }

    /// Who is at the other end of the connection of an sshd. Asked when its exec is seen, too: by the time
    /// that somebody in its session asks for something it may be gone.
    pub(super) fn peer_of(&mut self, sshd: ProcessKey) -> Option<std::net::SocketAddr> {
        if let Some(known) = self.peers.get(&sshd) {
            return *known;
        }
        if self.peers.len() >= PEERS_MAX {
            self.peers.clear(); // cheap to find again
        }
        let found = peer::connection(sshd.tgid);
        self.peers.insert(sshd, found);
        found
    }

    /// Whose requests were too many, since this was last asked.
    pub(super) fn throttled(&mut self) -> Vec<Throttled> {
        self.sockets.throttled()
    }

    /// Remembers which process is the manager of a user.
    pub(crate) fn manages(&mut self, uid: u32, key: ProcessKey) {
        if self.managers.len() < USERS_MAX || self.managers.contains_key(&uid) {
            self.managers.insert(uid, key);
        }
    }
}

/// The places where sockets of managers are looked for.
fn places() -> Vec<(PathBuf, Manager, u32)> {
    let mut places: Vec<(PathBuf, Manager, u32)> = SYSTEM
        .iter()
        .map(|(path, flags)| (PathBuf::from(path), Manager::System, *flags))
        .collect();
    let users = std::fs::read_dir("/run/user").into_iter().flatten();
    for entry in users.flatten().take(USERS_MAX) {
        let name = entry.file_name();
        let Some(uid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        for (name, flags) in USER {
            places.push((entry.path().join(name), Manager::User(uid), flags));
        }
    }
    places
}

impl Agent {
    /// Brings the list of sockets in step with what exists.
    pub(super) fn list_sockets(&mut self) {
        self.requests.looked = self.facts.now().boot;
        let mut present = HashSet::new();
        for (path, manager, flags) in places() {
            let Ok(identity) = self.facts.mounts.identify(&path) else {
                continue;
            };
            present.insert((identity.device, identity.inode));
            let listener = Listener {
                path,
                manager,
                flags,
            };
            if let Err(error) = self.requests.sockets.add(&identity, listener) {
                log::warn!("{error}");
            }
        }
        self.requests.sockets.retain(&present);
    }

    /// Looks for sockets now and then, tells connections on which nothing was asked, and whose
    /// requests were too many.
    pub(super) fn tend_requests(&mut self, throttled: Vec<Throttled>) {
        let now = self.facts.now().boot;
        if now >= self.requests.looked.saturating_add(SOCKETS_INTERVAL) {
            self.list_sockets();
        }
        while let Some(seen) = self.requests.silent.due(now) {
            self.tell_connection(*seen);
        }
        for throttled in throttled {
            self.requests.streams.lost();
            self.correlator.requests.lost(now);
            self.lost += throttled.count;
            let count = throttled.count;
            let of = match throttled.author {
                Some(key) => {
                    let known = self.table.get(&key);
                    let name = known.map_or("?", |known| known.process.name());
                    format!("{name}({})", key.tgid)
                }
                None => "processes that are not known any more".to_owned(),
            };
            let gap = format!(
                "{count} requests of {of} to managers were not looked at: they were too many"
            );
            self.stream
                .tell(self.facts.now(), Body::Health(Health::Gap(gap)));
        }
    }

    /// Records of requests did not fit into their ring.
    pub(super) fn requests_lost(&mut self) {
        self.requests.streams.lost();
        self.correlator.requests.lost(self.facts.now().boot);
    }

    /// A manager's socket was connected to, or its FIFO opened.
    pub(super) fn connected(&mut self, seen: ConnectSeen) {
        self.requests.streams.connected(&seen);
        if seen.socket.flags & socket_flags::BY_NAME != 0 {
            self.facts.refresh_mounts();
            self.list_sockets();
        }
        if seen.socket.flags & socket_flags::INITCTL != 0 {
            return self.tell_connection(seen);
        }
        // Whoever uses a bus connects to it.
        if seen.socket.flags & socket_flags::BUS == 0
            && let Some(seen) = self.requests.silent.wait(seen)
        {
            self.tell_connection(*seen);
        }
    }

    fn tell_connection(&mut self, seen: ConnectSeen) {
        let means = if seen.socket.flags & socket_flags::INITCTL != 0 {
            Means::Initctl
        } else {
            Means::Connection
        };
        let (manager, socket) = self.listener(&seen.socket, &seen.task, Some(&seen));
        self.tell_asked(seen.time, &seen.task, manager, None, means, socket);
    }

    /// Bytes were sent to a manager or a bus.
    pub(super) fn sent(&mut self, seen: MessageSeen) {
        let Some(requests) = self.requests.streams.sent(&seen) else {
            return;
        };
        if seen.flags & message_flags::PREAMBLE == 0 {
            self.requests.silent.spoke(&seen.socket);
        }
        for request in requests {
            let (manager, socket) = self.listener(&seen.socket, &seen.task, None);
            let means = Means::Message(Box::new(request));
            self.tell_asked(seen.time, &seen.task, manager, None, means, socket);
        }
    }

    /// A signal was sent to a manager.
    pub(super) fn signalled(&mut self, seen: SignalSeen) {
        if self.signalled_itself(&seen) {
            return;
        }
        let manager = match (seen.target.tgid, seen.target_uid) {
            (1, _) => Manager::System,
            (_, Some(uid)) => Manager::User(uid),
            (_, None) => return,
        };
        // PID 1's own orders to the managers that it runs are no requests of others.
        if seen.task.key.tgid == 1 || seen.task.key == seen.target {
            return;
        }
        let means = Means::Signal(seen.signal);
        self.tell_asked(
            seen.time,
            &seen.task,
            manager,
            Some(seen.target),
            means,
            None,
        );
    }

    /// Whose socket it is, and its path on the host.
    fn listener(
        &self,
        socket: &SocketSeen,
        task: &TaskSeen,
        connect: Option<&ConnectSeen>,
    ) -> (Manager, Option<String>) {
        if let Some(known) = self.requests.sockets.get(socket.listener) {
            let path = known.path.to_string_lossy().into_owned();
            return (known.manager.clone(), Some(path));
        }
        // A manager that the host has no path to: of a container.
        let inside = self
            .table
            .get(&task.key)
            .and_then(|known| known.process.cgroup.clone());
        let path = connect.map(|seen| format!("/{}", seen.path.components.join("/")));
        (Manager::Container(inside.unwrap_or_default()), path)
    }

    fn tell_asked(
        &mut self,
        time: u64,
        task: &TaskSeen,
        manager: Manager,
        target: Option<ProcessKey>,
        means: Means,
        socket: Option<String>,
    ) {
        let author = actor(task, time, &mut self.table, &self.facts);
        let time = self.facts.time(time);
        let known = match &manager {
            Manager::System => self.table.current(1),
            Manager::User(uid) => target
                .or_else(|| self.requests.managers.get(uid).copied())
                .and_then(|key| self.table.get(&key)),
            Manager::Capsule(_) | Manager::Container(_) => None,
        };
        let target = known.map_or_else(
            || Arc::new(Process::unknown(time)),
            |known| Arc::clone(&known.process),
        );
        let tier = match means {
            Means::Signal(_) => Tier::Tracepoint,
            _ => self.requests.tier.unwrap_or(Tier::Tracepoint),
        };
        let login = self.login(&author);
        let asked = Asked {
            manager,
            target,
            author,
            login,
            means,
            socket,
            tier,
        };
        let Event { uid, body, .. } = self.stream.tell(time, Body::Asked(Box::new(asked)));
        if let Body::Asked(asked) = body {
            if let Some(lasting) = Lasting::of(&uid, time, &asked) {
                self.keeper.request(&lasting);
            }
            if Detector::concerns(&asked) {
                let signal = matches!(asked.means, Means::Signal(_));
                let mounts = &self.facts.mounts;
                let expected = self
                    .packages
                    .asks_as_expected(&asked.author, signal, mounts);
                let now = self.facts.now().boot;
                self.detector.asked(&uid, time, &asked, expected, now);
            }
            let finding = environment_asked(&asked, &uid, time);
            self.correlator.requests.asked(uid, time, Arc::from(asked));
            if let Some(finding) = finding {
                self.tell_finding(time, finding);
            }
        }
    }

    /// Where the author's login comes from.
    fn login(&mut self, author: &Actor) -> Login {
        let chain = std::iter::once(&author.process).chain(&author.ancestry);
        let sshd = chain.filter(|process| is_sshd(process));
        let mut peer = None;
        for process in sshd {
            let found = self.requests.peer_of(process.key);
            if found.is_some() {
                peer = found;
                break;
            }
        }
        let has_session = author.process.session.is_some();
        let tty = has_session
            .then(|| peer::terminal(author.process.key.tgid))
            .flatten();
        Login { tty, peer }
    }
}

/// Whether a process is an sshd, by its program's path: OpenSSH's own places.
pub(super) fn is_sshd(process: &Process) -> bool {
    let path = process.exe.as_ref().map(|exe| Path::new(&exe.path));
    let name = path
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    matches!(name, Some("sshd" | "sshd-session"))
}
