//! Who spawned whom, where the child was not made by a plain fork.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio, id};

use whodunit_tests::{Agent, Event, python, skip, tag};

/// `clone(flags)` makes a process by clone3(2) and returns as fork does. No other thread runs: the
/// interpreter's lock is kept.
const CLONE: &str = r"
import ctypes, os, signal, sys, threading
libc = ctypes.PyDLL(None, use_errno=True)
CLONE_VFORK, CLONE_PARENT, CLONE_INTO_CGROUP = 0x4000, 0x8000, 0x200000000
def clone(flags=0, cgroup=0, pid=None):
    signalled = 0 if flags & CLONE_PARENT else signal.SIGCHLD
    wanted = (ctypes.c_int32 * 1)(pid or 0)
    chosen = (ctypes.addressof(wanted), 1) if pid else (0, 0)
    args = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, signalled, 0, 0, 0, *chosen, cgroup)
    child = libc.syscall(435, ctypes.byref(args), ctypes.sizeof(args))
    if child < 0:
        sys.exit('clone3: ' + os.strerror(ctypes.get_errno()))
    return child
def run(*arguments):
    os.execvp('true', ['true', *arguments])
";

/// Runs a program in Python after [`CLONE`]; returns its pid and what it printed.
fn run_cloning(program: &str, tag: &str) -> Option<(u64, String)> {
    let mut command = Command::new(python()?);
    command.args(["-c", &format!("{CLONE}{program}"), tag]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = u64::from(child.id());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    Some((pid, String::from_utf8(output.stdout).unwrap()))
}

fn exec_of_true(agent: &Agent, tag: &str) -> Event {
    let event = agent.wait_for("the exec of true", |event| event.is_exec_of("true", tag));
    assert_eq!(event.text("unmapped/lineage"), "measured");
    event
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap()
}

#[test]
fn a_child_given_to_its_grandparent_keeps_its_spawner() {
    // With CLONE_PARENT the child's parent is its spawner's parent, from the beginning.
    const PROGRAM: &str = r"
spawner = os.fork()
if spawner:
    os.wait()
    os.wait()
    print(spawner)
    sys.exit()
if clone(CLONE_PARENT) == 0:
    run(sys.argv[1], str(os.getppid()))
os._exit(0)
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((parent, spawner)) = run_cloning(PROGRAM, &tag) else {
        return;
    };
    let exec = exec_of_true(&agent, &tag);
    assert!(exec.command().ends_with(&format!(" {parent}")), "{exec:?}");
    assert_eq!(exec.actor_pid(), number(&spawner));
    assert_eq!(exec.ancestry()[..2], [parent, u64::from(id())]);
    agent.stop();
}

#[test]
fn a_spawner_that_waits_for_the_exec_is_measured() {
    const PROGRAM: &str = r"
if clone(CLONE_VFORK) == 0:
    run(sys.argv[1])
os.wait()
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((spawner, _)) = run_cloning(PROGRAM, &tag) else {
        return;
    };
    let exec = exec_of_true(&agent, &tag);
    assert_eq!(exec.actor_pid(), spawner);
    assert_eq!(exec.ancestry()[0], u64::from(id()));
    agent.stop();
}

#[test]
fn a_child_of_a_thread_is_its_process_s() {
    const PROGRAM: &str = r"
def spawn():
    assert threading.get_native_id() != os.getpid()
    if os.fork() == 0:
        run(sys.argv[1])
    os.wait()
thread = threading.Thread(target=spawn)
thread.start()
thread.join()
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((spawner, _)) = run_cloning(PROGRAM, &tag) else {
        return;
    };
    let exec = exec_of_true(&agent, &tag);
    assert_eq!(exec.actor_pid(), spawner);
    assert_eq!(exec.ancestry()[0], u64::from(id()));
    // The same process, not one that began with the thread.
    let python = agent.wait_for("the exec of Python", |event| {
        event.pid() == spawner && event.command().ends_with(&tag)
    });
    assert_eq!(exec.at("actor/process/uid"), python.at("process/uid"));
    agent.stop();
}

#[test]
fn a_child_born_in_another_cgroup_is_told_there() {
    // It waits, so that its cgroup is still there when somebody looks.
    const PROGRAM: &str = r"
mounts = [line.split() for line in open('/proc/self/mounts')]
roots = [mount[1] for mount in mounts if mount[2] == 'cgroup2']
if not roots:
    print('none')
    sys.exit()
path = roots[0] + '/' + sys.argv[1]
os.mkdir(path)
try:
    group = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    if clone(CLONE_INTO_CGROUP, group) == 0:
        os.execvp('sh', ['sh', '-c', 'echo born; read go', sys.argv[1]])
    os.wait()
finally:
    os.rmdir(path)
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.args(["-c", &format!("{CLONE}{PROGRAM}"), &tag]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut spawner = command.spawn().unwrap();
    let mut line = String::new();
    let stdout = spawner.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    if line.trim() == "none" {
        spawner.wait().unwrap();
        return skip("no cgroup2 is mounted");
    }
    assert_eq!(line.trim(), "born", "clone3 with CLONE_INTO_CGROUP");
    let exec = agent.wait_for("the exec of sh", |event| {
        event.command().starts_with("sh -c 'echo born; read go'") && event.command().contains(&tag)
    });
    drop(spawner.stdin.take());
    assert!(spawner.wait().unwrap().success());
    assert_eq!(exec.actor_pid(), u64::from(spawner.id()));
    assert_eq!(exec.ancestry()[0], u64::from(id()));
    assert_eq!(exec.text("unmapped/cgroup"), format!("/{tag}"));
    agent.stop();
}

#[test]
fn a_pid_used_again_is_another_process() {
    // Two processes of the same pid, one after the other; a child of each executes.
    const PROGRAM: &str = r"
def once(tag, pid=None):
    child = clone(pid=pid)
    if child == 0:
        if os.fork() == 0:
            run(tag)
        os.wait()
        os._exit(0)
    os.wait()
    return child
first = once(sys.argv[1] + 'first')
second = once(sys.argv[1] + 'second', first)
assert first == second
print(first)
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((parent, pid)) = run_cloning(PROGRAM, &tag) else {
        return;
    };
    let execs = ["first", "second"].map(|which| exec_of_true(&agent, &format!("{tag}{which}")));
    for exec in &execs {
        assert_eq!(exec.actor_pid(), number(&pid));
        assert_eq!(exec.ancestry()[0], parent);
    }
    let [first, second] = execs.each_ref().map(|exec| exec.text("actor/process/uid"));
    assert_ne!(first, second);
    assert!(!first.is_empty() && !second.is_empty());
    agent.stop();
}

#[test]
fn a_container_hides_neither_pids_nor_ancestors() {
    // What makes a container: namespaces of its own, and another root.
    const SCRIPT: &str = r#"
mount --bind / "$1" && exec chroot "$1" /bin/sh -c 'echo $$; /bin/true "$0"; :' "$0"
"#;
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let root = std::env::temp_dir().join(&tag);
    std::fs::create_dir(&root).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--mount", "--uts", "--ipc", "--fork"]);
    command.args(["sh", "-c", SCRIPT, &tag]).arg(&root);
    let spawned = command.stdout(Stdio::piped()).spawn();
    let Ok(child) = spawned else {
        std::fs::remove_dir(&root).unwrap();
        return skip("no unshare");
    };
    let unshare = u64::from(child.id());
    let output = child.wait_with_output().unwrap();
    std::fs::remove_dir(&root).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1");
    let exec = exec_of_true(&agent, &tag);
    assert!(
        exec.pid() > 2 && exec.actor_pid() > 1,
        "pids are the host's"
    );
    assert_eq!(exec.ancestry()[..2], [unshare, u64::from(id())]);
    for (name, file) in [("pid_ns", "pid"), ("mount_ns", "mnt")] {
        let own = std::fs::read_link(format!("/proc/self/ns/{file}")).unwrap();
        let inner = exec.number(&format!("unmapped/{name}"));
        let own = own.to_string_lossy().into_owned();
        assert!(
            inner != 0 && own != format!("{file}:[{inner}]"),
            "{name} {inner}, {own}"
        );
    }
    agent.stop();
}
