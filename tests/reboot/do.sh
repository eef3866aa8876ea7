#!/bin/bash
# Plants a timer, cuts the power, boots again, restarts the agent as an upgrade does, lets it fire.
set -eu
cd "$(dirname "$0")"
state=$WHODUNIT_OUT/state
units=/etc/systemd/system

why() { whodunit why --utc --state "$state" "$@"; }

# until SECONDS COMMAND...: a pause without a process of its own.
until_done() {
    local limit=$((SECONDS + $1)) never
    shift
    exec {never}<> <(:)
    until "$@"; do
        ((SECONDS < limit)) || { echo "gave up waiting: $*" >&2; return 1; }
        read -rt 0.2 -u "$never" || :
    done
    exec {never}>&-
}

has() { why --format json "$1" 2>/dev/null | grep -q "$2"; }

first() {
    bash plant.sh later "$units"
    systemctl enable --now later.timer
    systemctl set-property later.service CPUWeight=50
    until_done 60 has "$units/later.service" 'plant.sh'
    until_done 60 has "$units/later.timer" 'plant.sh'
    until_done 60 has "$units/timers.target.wants/later.timer" '"symlink"'
    until_done 60 has later.service SetUnitProperties
    sync -f "$units"
    # What is committed from here on is on the disk by SQLite's doing alone.
    for n in 1 2 3 4 5 6; do
        echo "# version $n" >"$units/cut.service"
        sum=$(sha256sum <"$units/cut.service")
        until_done 60 has "$units/cut.service" "${sum%% *}"
    done
    echo "${sum%% *}" >/dev/console
    echo b >/proc/sysrq-trigger
    sleep 60
}

second() {
    # The last version before the power was cut.
    sum=$(echo "# version 6" | sha256sum)
    has "$units/cut.service" "${sum%% *}"

    # Who asked for the timer that fires is known to the next agent.
    systemctl restart later.timer

    # An upgrade: another file, another process.
    cp /usr/bin/whodunit /usr/bin/whodunit.new
    mv /usr/bin/whodunit.new /usr/bin/whodunit
    systemctl stop whodunit.service
    : >"$WHODUNIT_OUT/stderr.log" # what the one before it said is not to be taken for this one's
    systemctl start whodunit.service
    until_done 60 grep -q '^ready' "$WHODUNIT_OUT/stderr.log"
    : >/run/fire
    until_done 90 test -e /run/fired
    systemctl stop later.timer
    until_done 60 has later.service '"event_uid"'
    why later.service >"$WHODUNIT_OUT/why.txt"
    why --format json later.service >"$WHODUNIT_OUT/why.json"
    why --format dot later.service >"$WHODUNIT_OUT/why.dot"
    why --format mermaid later.service >"$WHODUNIT_OUT/why.mmd"
    why 1 >"$WHODUNIT_OUT/why-1.txt"
    grep -E '^(VmRSS|VmHWM)' "/proc/$(systemctl show -p MainPID --value whodunit.service)/status"
}

case $WHODUNIT_BOOT in
1) first ;;
2) second ;;
esac
