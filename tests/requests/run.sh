#!/bin/bash
# Asks managers in every way there is. Each unit's author has the unit's name in its arguments;
# expect.json says how each chain begins.
set -u
cd "$(dirname "$0")" || exit 1
exec {never}<> <(:)
python=$(command -v python3)
failed=0

pause() {
    read -rt "$1" -u "$never" || :
}

# wait_until SECONDS COMMAND...: runs it again and again until it succeeds.
wait_until() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        ((SECONDS <= limit)) || { echo "gave up waiting: $*"; return 1; }
        pause 0.2
    done
}

# as_alice COMMAND...: with what a login of hers would have set.
as_alice() {
    setpriv --reuid=1000 --regid=1000 --init-groups env -i \
        PATH=/usr/bin:/bin HOME=/home/alice XDG_RUNTIME_DIR=/run/user/1000 \
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

try() {
    "$@" || { echo "failed: $*: $?"; failed=1; }
}

ran() {
    wait_until 30 test -e "/run/$1.ran" || { echo "never ran: $1"; failed=1; }
}

# service NAME: a oneshot of that name, written by this shell.
service() {
    printf '%s\n' '[Unit]' "Description=$1" '[Service]' Type=oneshot "ExecStart=/bin/touch /run/$1.ran" \
        '[Install]' WantedBy=multi-user.target >"/etc/systemd/system/$1.service"
}

fast='--timer-property=AccuracySec=100ms'
pause 2

# By systemd-run, as root.
try systemd-run --unit=rq-active --on-active=500ms $fast /bin/touch /run/rq-active.ran
try systemd-run --unit=rq-calendar --on-calendar='*:*:0/2' $fast /bin/touch /run/rq-calendar.ran
try systemd-run --unit=rq-now /bin/touch /run/rq-now.ran
try systemd-run --unit=rq-wait --wait -q /bin/true

# By the bus, and by raw bytes.
try busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
    StartTransientUnit 'ssa(sv)a(sa(sv))' rq-busctl.service replace 1 \
    ExecStart 'a(sasb)' 1 /bin/true 2 /bin/true rq-busctl false 0
for how in whole bus odd bytes bus-bytes halves bus-halves two pieces bus-pieces long sendfile child; do
    try "$python" ask.py $how rq-$how.service
done

# By zbus, as a Rust program does.
asker=./whodunit-asker
try $asker timer rq-zbus.timer
try $asker transient rq-zbus-now.service

# Unit files that are there, by name.
for name in enable link prop revert start mask ssh zbus-enable polkit-start polkit-enable denied; do
    service rq-$name
done
mv /etc/systemd/system/rq-link.service /opt/
try systemctl daemon-reload
try systemctl enable --now rq-enable.service
try $asker enable rq-zbus-enable.service
try $asker start rq-zbus-enable.service
try systemctl link /opt/rq-link.service
try systemctl start rq-link.service
try systemctl set-property rq-prop.service CPUWeight=50
try systemctl start rq-prop.service
try systemctl set-property rq-revert.service CPUWeight=60
try systemctl revert rq-revert.service
rm -f /etc/systemd/system/rq-mask.service
try systemctl mask rq-mask.service
try systemctl start rq-start.service
service rq-root
try systemctl --root=/ enable rq-root.service
service rq-edit
# Newer ones are told where the cursor goes before they are told the file.
printf '#!/bin/sh\nfor file; do :; done\nprintf "[Service]\\nExecStartPost=/bin/true\\n" >"$file"\n' >/run/editor
chmod +x /run/editor
# It wants a terminal.
EDITOR=/run/editor SYSTEMD_EDITOR=/run/editor try script -qec 'systemctl edit rq-edit.service' /dev/null
try systemctl start rq-edit.service

# By a signal: what was written before is read.
service rq-hup
systemctl start rq-hup.service
printf '%s\n' '[Service]' 'ExecStartPost=/bin/true' >>/etc/systemd/system/rq-hup.service
kill -HUP 1 # rq-hup
pause 4
try systemctl start rq-hup.service

# A user, to the system's manager and to her own.
as_alice busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
    StartUnit ss rq-start.service replace >/dev/null 2>&1 && { echo 'alice may start units'; failed=1; }
try loginctl enable-linger alice
if wait_until 60 test -S /run/user/1000/systemd/private; then
    try as_alice systemd-run --user --unit=rq-user --on-active=500ms $fast /bin/touch /run/user/1000/rq-user.ran
    wait_until 30 test -e /run/user/1000/rq-user.ran || failed=1
    try as_alice busctl --user call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
        org.freedesktop.systemd1.Manager StartTransientUnit 'ssa(sv)a(sa(sv))' rq-userbus.service replace 1 \
        ExecStart 'a(sasb)' 1 /bin/true 2 /bin/true rq-userbus false 0
else
    echo 'alice has no manager'
    failed=1
fi

# The same where polkit lets her: a stand-in lets everybody do what has no `denied` in its name.
mkdir -p /etc/dbus-1/system.d
printf '%s\n' '<busconfig>' '<policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy>' \
    '<policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>' \
    '</busconfig>' >/etc/dbus-1/system.d/polkit.conf
try busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
$asker polkit >"$WHODUNIT_OUT/polkit.log" 2>&1 &
polkit=$!
has_polkit() { busctl status org.freedesktop.PolicyKit1 >/dev/null; }
wait_until 60 has_polkit || failed=1
alice_starts() {
    as_alice busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
        org.freedesktop.systemd1.Manager StartUnit ss "$1" replace
}
try as_alice $asker transient rq-polkit.service
try as_alice $asker timer rq-polkit-timer.timer
try alice_starts rq-polkit-start.service
try as_alice $asker enable rq-polkit-enable.service
try as_alice $asker start rq-polkit-enable.service
alice_starts rq-denied.service && { echo 'polkit let alice'; failed=1; }
kill $polkit
# Not because of her.
try systemctl start rq-denied.service

# From elsewhere.
mkdir -p /run/sshd
/usr/sbin/sshd
wait_until 90 timeout 20 ssh localhost true || failed=1
try systemctl -H root@localhost start rq-ssh.service

# Fifty at once.
for number in $(seq 1 50); do
    "$python" ask.py whole rq-many-$number.service &
done
wait $(jobs -p)

# What is no message at all.
try "$python" ask.py garbage rq-garbage 20

# A flood of calls, and somebody else's request in its midst, while the agent reads nothing.
agent=$(systemctl show -p MainPID --value whodunit.service)
kill -STOP "$agent"
"$python" ask.py flood rq-flood 100000 &
flood=$!
wait_until 60 test -e /run/rq-flood.began || failed=1
try systemd-run --unit=rq-calm /bin/touch /run/rq-calm.ran
kill $flood 2>/dev/null
wait $flood 2>/dev/null
kill -CONT "$agent"

# By the other tiers: an agent for each, beside the one that watches all of this.
agents=
for tier in fentry kprobe; do
    whodunit run --format ocsf --tier=$tier --no-state --output "$WHODUNIT_OUT/$tier.ndjson" \
        2>"$WHODUNIT_OUT/$tier.log" &
    agents+=" $!"
done
for tier in fentry kprobe; do
    wait_until 120 grep -q '^ready' "$WHODUNIT_OUT/$tier.log" || failed=1
done
try systemd-run --unit=rq-tier /bin/touch /run/rq-tier.ran
try "$python" ask.py bus rq-tier-bus.service
try "$python" ask.py bytes rq-tier-bytes.service
try "$python" ask.py sendfile rq-tier-sendfile.service
kill -HUP 1 # rq-tier
pause 2
for agent in $agents; do
    kill "$agent"
    wait "$agent" || { echo "an agent of another tier failed: $?"; failed=1; }
done

for name in active calendar now zbus zbus-now zbus-enable enable link prop start edit hup polkit polkit-timer \
    polkit-start polkit-enable denied ssh calm tier; do
    ran rq-$name
done
systemctl stop rq-calendar.timer # no more
pause 4
exit $failed
