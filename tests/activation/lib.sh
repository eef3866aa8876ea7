# Words for run.sh: units to write, conditions to wait for, and the truth to note.

exec {never}<> <(:)
units=/etc/systemd/system
version=$(systemctl --version)
version=${version#systemd }
version=${version%%[!0-9]*}
mkdir -p /run/act

# pause SECONDS: without a process of its own.
pause() {
    read -rt "$1" -u "$never" || :
}

# truth UNIT TRIGGER...: what starts each process of the unit, in order; `...` stands for more like
# the one before it.
truth() {
    local IFS=$'\t'
    printf '%s\n' "$*" >>"$WHODUNIT_OUT/truth"
}

# left_out WHY: a case that this machine cannot do; the test tells it.
left_out() {
    printf '%s\n' "$*" >>"$WHODUNIT_OUT/left-out"
}

# unit NAME LINE...: writes a unit file.
unit() {
    local name=$1
    shift
    printf '%s\n' "$@" >"$units/$name"
}

# service NAME LINE...: a oneshot that leaves a mark; lines go to [Service].
service() {
    local name=$1
    shift
    unit "act-$name.service" '[Unit]' 'StartLimitIntervalSec=0' '[Service]' Type=oneshot \
        "ExecStart=/bin/touch /run/act/$name" "$@"
}

# timer NAME LINE...: lines go to [Timer].
timer() {
    local name=$1
    shift
    unit "act-$name.timer" '[Timer]' AccuracySec=100ms "$@"
}

# await NAME...: until each service left its mark, which is taken away.
await() {
    local name
    for name; do
        local -i rounds=0
        until [[ -e /run/act/$name ]]; do
            pause 0.05
            if ((++rounds > 1200)); then
                echo "act-$name did not run"
                failed=1
                return 0
            fi
        done
        rm -f "/run/act/$name"
    done
}
failed=0
