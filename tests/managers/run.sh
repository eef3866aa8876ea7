#!/bin/bash
# Managers of every kind at work, and taken away from under the agent; the phases go to /out/marks.
set -u
exec {never}<> <(:)

# pause SECONDS: without a process of its own.
pause() {
    read -rt "$1" -u "$never" || :
}

# until_there FILE: for a minute at most.
until_there() {
    local limit=$((SECONDS + 60))
    until [[ -e $1 ]] || ((SECONDS > limit)); do pause 0.1; done
}

# phase NAME
phase() {
    read -r uptime _ </proc/uptime
    echo "$1 $uptime" >>/out/marks
}

# file PATH LINE...
file() {
    local path=$1
    shift
    printf '%s\n' "$@" >"$path"
}

# alice COMMAND...
alice() {
    setpriv --reuid=1000 --regid=1000 --init-groups env -i PATH=/usr/bin:/bin HOME=/home/alice \
        XDG_RUNTIME_DIR=/run/user/1000 "$@"
}

# ticks NAME DIRECTORY: a service that leaves a mark, and a timer for it.
ticks() {
    file "$2/$1.service" '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=oneshot \
        "ExecStart=/bin/touch /tmp/$1"
    file "$2/$1.timer" '[Timer]' AccuracySec=100ms OnActiveSec=1 OnUnitActiveSec=2
}

# ticking NAME TIMES: waits for that many runs.
ticking() {
    local count
    for ((count = 0; count < $2; count++)); do
        rm -f "/tmp/$1"
        until_there "/tmp/$1"
    done
}

units=/etc/systemd/system
phase users
# A load path that only the manager knows of.
mkdir -p /etc/systemd/system/user@1000.service.d
file /etc/systemd/system/user@1000.service.d/path.conf '[Service]' \
    'Environment=SYSTEMD_UNIT_PATH=/home/alice/odd:'
systemctl daemon-reload
loginctl enable-linger alice
systemctl start user@0.service
until_there /run/user/1000/systemd/private
until_there /run/user/0/systemd/private
alice mkdir -p /home/alice/.config/systemd/user
ticks mgr-alice /home/alice/.config/systemd/user
alice systemctl --user start mgr-alice.timer
XDG_RUNTIME_DIR=/run/user/0 systemd-run --user -q --unit mgr-root --on-active=1 --on-unit-active=2 \
    --timer-property=AccuracySec=100ms /bin/touch /tmp/mgr-root
ticking mgr-root 1
ticking mgr-alice 3
pause 2
phase alice-asks
# While the timer runs, the request may be carried out by a job that the timer has made.
alice systemctl --user stop mgr-alice.timer mgr-alice.service
alice systemctl --user start mgr-alice.service
alice systemctl --user start mgr-alice.timer
alice systemctl --user daemon-reload
ticking mgr-alice 2
XDG_RUNTIME_DIR=/run/user/0 systemctl --user stop mgr-root.timer
alice mkdir -p /home/alice/odd
alice systemctl --user daemon-reload
pause 3
alice cp /home/alice/.config/systemd/user/mgr-alice.service /home/alice/odd/mgr-odd.service
alice systemctl --user stop mgr-alice.timer

ticks mgr-system $units
systemctl daemon-reload
systemctl start mgr-system.timer
phase bus
ticking mgr-system 3
phase reload
systemctl daemon-reload
ticking mgr-system 3
phase bus-restarts
systemctl restart dbus
pause 2
ticking mgr-system 4
phase reexec
mkdir -p /etc/systemd/system.conf.d /opt/odd
file /etc/systemd/system.conf.d/path.conf '[Manager]' 'ManagerEnvironment=SYSTEMD_UNIT_PATH=/opt/odd:'
systemctl daemon-reexec
pause 2
ticking mgr-system 4
file /opt/odd/mgr-opt.service '[Service]' Type=oneshot ExecStart=/bin/true
rm /etc/systemd/system.conf.d/path.conf
phase no-bus
systemctl stop dbus.socket dbus.service
pause 2
ticking mgr-system 4
# The list needs no bus.
whodunit timers --manager system --format json >/out/timers-no-bus.json
systemctl daemon-reload
ticking mgr-system 3
phase bus-back
systemctl start dbus.socket dbus.service
pause 2
ticking mgr-system 4

phase timers
file $units/.mgr-hidden.timer '[Timer]' OnCalendar=daily Unit=mgr-system.service
file $units/mgr-unloaded.timer '[Timer]' OnCalendar=hourly Persistent=yes Unit=mgr-system.service
ln -s /dev/null $units/mgr-masked.timer
file $units/mgr-tired.timer '[Timer]' OnActiveSec=1h Unit=mgr-system.service
systemctl start mgr-tired.timer
alice systemctl --user start mgr-alice.timer
systemctl list-timers --all --no-pager >/out/list-timers.txt
systemctl list-timers --all --output=json --no-pager >/out/list-timers.json || rm -f /out/list-timers.json
whodunit timers --all --format json >/out/timers.json
whodunit timers >/out/timers.txt
whodunit timers --root / --all --format json >/out/timers-files.json
systemctl stop mgr-system.timer

phase kinds
mkdir -p /etc/systemd/system-generators
file /etc/systemd/system-generators/mgr-generator '#!/bin/sh' '/bin/true in-generator'
chmod +x /etc/systemd/system-generators/mgr-generator
file /usr/local/bin/forker '#!/usr/bin/python3' 'import os, time' 'if os.fork():' \
    '    time.sleep(0.3)' '    os._exit(0)' 'os.setsid()' 'time.sleep(1)' \
    'os.execv("/bin/true", ["true", "in-daemon"])'
file /usr/local/bin/delegated '#!/bin/bash' \
    'group=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)' \
    'mkdir -p "$group/logrotate.service"' \
    'echo $$ >"$group/logrotate.service/cgroup.procs"' 'exec /bin/true in-subgroup'
chmod +x /usr/local/bin/forker /usr/local/bin/delegated
file $units/mgr-fork.service '[Service]' Type=forking ExecStart=/usr/local/bin/forker
file $units/mgr-control.service '[Service]' Type=oneshot RemainAfterExit=yes \
    'ExecCondition=/bin/true in-condition' 'ExecStartPre=/bin/true in-start-pre' \
    'ExecStart=/bin/true in-start' 'ExecStartPost=/bin/true in-start-post' \
    'ExecReload=/bin/true in-reload' 'ExecStop=/bin/true in-stop' \
    'ExecStopPost=/bin/true in-stop-post'
file $units/mgr-pids.service '[Service]' Type=oneshot PrivatePIDs=yes \
    'ExecStart=/bin/sh -c "/bin/true in-pid-namespace; :"'
file $units/mgr-delegated.service '[Service]' Type=oneshot Delegate=yes \
    ExecStart=/usr/local/bin/delegated
file $units/mgr-pam.service '[Service]' Type=oneshot PAMName=login User=alice \
    'ExecStart=/bin/true in-pam'
systemctl daemon-reload
systemctl start mgr-fork.service
systemctl start mgr-control.service
systemctl reload mgr-control.service
systemctl stop mgr-control.service
systemctl start mgr-pids.service
systemctl start mgr-delegated.service
systemctl start mgr-pam.service
systemd-run -q --pipe --wait /bin/true in-pipe </dev/null
if command -v run0; then run0 --pipe /bin/true in-run0 </dev/null; fi
pause 3

phase container
mkdir /run/boxed
systemd-run --quiet --unit=systemd-nspawn@box --slice=machine.slice --property=Delegate=yes \
    --property=KillMode=mixed unshare --pid --fork --mount --uts --ipc --cgroup \
    bash /scenario/container.sh /run/boxed
for run in 1 2 3; do
    rm -f /run/boxed/boxed
    until_there /run/boxed/boxed
done
whodunit timers --all --manager container --format json >/out/timers-container.json
systemctl stop systemd-nspawn@box
pause 2
phase end
