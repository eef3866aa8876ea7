# For every do.sh: stop at the first failure, wait on conditions.
set -eu

# wait_until SECONDS COMMAND...: runs it again and again until it succeeds.
wait_until() {
    local limit=$((SECONDS + $1)) never
    shift
    exec {never}<> <(:)
    until "$@"; do
        if ((SECONDS > limit)); then
            echo "gave up waiting: $*" >&2
            return 1
        fi
        # A pause without a process of its own.
        read -rt 0.1 -u "$never" || :
    done
    exec {never}>&-
}

# as_alice COMMAND...: with what a login of hers would have set.
as_alice() {
    setpriv --reuid=1000 --regid=1000 --init-groups env -i \
        PATH=/usr/bin:/bin HOME=/home/alice XDG_RUNTIME_DIR=/run/user/1000 \
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

# phase NAME: what is told from here on belongs to NAME, for tests that look closer than at a whole
# scenario.
phase() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "phase $1 $uptime" >>"$WHODUNIT_OUT/marks"
}
