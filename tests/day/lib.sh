# What the parts of the day share.

out=$WHODUNIT_OUT
repo=/srv/repo
export DEBIAN_FRONTEND=noninteractive

watch=

# stage NAME SECONDS: what is done from here on, and how long it may take. The time of each is printed; a
# stage that takes longer ends the script, and what hangs is told.
stage() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "$1 $uptime" >>"$out/stages"
    echo "== $1 at $uptime, up to $2 s"
    echo "whodunit-vm: $1" >/dev/console
    [[ -z $watch ]] || { kill "$watch" && wait "$watch"; } 2>/dev/null || :
    watchdog "$1" "$2" &
    watch=$!
}

watchdog() {
    local never
    exec {never}<> <(:)
    read -rt "$2" -u "$never" && return
    echo "the stage $1 took more than $2 s" | tee /dev/console
    systemctl list-jobs --no-pager
    ps -eo pid,ppid,etimes,stat,args --sort=start_time | tail -n 40
    kill -TERM 0
}

# The script is at its end.
over() {
    stage end 10
    kill "$watch"
}

# await SECONDS COMMAND...: waits until the command succeeds, without a process of its own.
await() {
    local limit=$((SECONDS + $1)) never
    shift
    exec {never}<> <(:)
    until "$@"; do
        ((SECONDS < limit)) || { echo "gave up waiting: $*" >&2; return 1; }
        read -rt 0.5 -u "$never" || :
    done
    exec {never}>&-
}

# ran NAME VERSION: whether the program of a package ran, in this version.
ran() {
    [[ -e /run/$1.ran && $(</run/$1.ran) == "version $2" ]]
}

# deb NAME VERSION: a package with a service, a timer for it, a program and a file of settings; each
# version has another content of each. Its scripts are what debhelper makes.
deb() {
    local name=$1 version=$2 tree=$1_$2
    mkdir -p "$tree"/{DEBIAN,usr/bin,etc/default,usr/lib/systemd/system}
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: brings a timer
CONTROL
    echo "/etc/default/$name" >"$tree/DEBIAN/conffiles"
    echo "VERSION=$version" >"$tree/etc/default/$name"
    printf '#!/bin/sh\necho "version %s" >/run/%s.ran\n' "$version" "$name" >"$tree/usr/bin/$name"
    cat >"$tree/usr/lib/systemd/system/$name.service" <<UNIT
[Unit]
Description=$name, version $version

[Service]
Type=oneshot
EnvironmentFile=/etc/default/$name
ExecStart=/usr/bin/$name $version
UNIT
    cat >"$tree/usr/lib/systemd/system/$name.timer" <<UNIT
[Unit]
Description=$name, version $version

[Timer]
OnCalendar=*:*:0/20
AccuracySec=$version

[Install]
WantedBy=timers.target
UNIT
    scripts "$tree/DEBIAN" "$name.timer"
    finish "$tree"
}

# scripts DIR UNIT: a package's scripts, which enable and start the unit.
scripts() {
    local dir=$1 unit=$2
    cat >"$dir/postinst" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = configure ] || [ "\$1" = abort-upgrade ]; then
    deb-systemd-helper unmask $unit >/dev/null || true
    if deb-systemd-helper --quiet was-enabled $unit; then
        deb-systemd-helper enable $unit >/dev/null || true
    else
        deb-systemd-helper update-state $unit >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "\$2" ]; then action=restart; else action=start; fi
        deb-systemd-invoke \$action $unit >/dev/null || true
    fi
fi
SCRIPT
    cat >"$dir/prerm" <<SCRIPT
#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ "\$1" = remove ]; then
    deb-systemd-invoke stop $unit >/dev/null || true
fi
SCRIPT
    cat >"$dir/postrm" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "\$1" = remove ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper mask $unit >/dev/null || true
fi
if [ "\$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge $unit >/dev/null || true
    deb-systemd-helper unmask $unit >/dev/null || true
fi
SCRIPT
}

# The agent that runs here, as version 2 of its package.
deb_of_agent() {
    local tree=whodunit_2 unit=usr/lib/systemd/system/whodunit.service
    mkdir -p "$tree"/{DEBIAN,usr/bin,usr/lib/systemd/system}
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: whodunit
Version: 2
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: process lineage sensor
CONTROL
    cp /usr/bin/whodunit "$tree/usr/bin"
    sed 's/^Description=.*/&, version 2/; /^\[Service\]/a Environment=VERSION=2' "/$unit" >"$tree/$unit"
    scripts "$tree/DEBIAN" whodunit.service
    # It ran before it was a package's.
    sed -i 's/action=start/action=restart/' "$tree/DEBIAN/postinst"
    finish "$tree"
}

# Packs a tree.
finish() {
    chmod 755 "$1"/DEBIAN/{postinst,prerm,postrm} "$1"/usr/bin/*
    (cd "$1" && find * -path DEBIAN -prune -o -type f -exec md5sum {} +) >"$1/DEBIAN/md5sums"
    dpkg-deb --root-owner-group -Znone --build "$1" "$1.deb" >/dev/null
}

# publish FILE...: makes the packages the archive that apt knows, and nothing else.
publish() {
    rm -rf "$repo"
    mkdir -p "$repo"
    cp "$@" "$repo"
    (
        cd "$repo"
        for file in *.deb; do
            dpkg-deb -f "$file"
            echo "Filename: ./$file"
            echo "Size: $(stat -c %s "$file")"
            echo "SHA256: $(sha256sum "$file" | cut -d' ' -f1)"
            echo
        done >Packages
        sum=$(sha256sum Packages | cut -d' ' -f1)
        printf 'Origin: Day\nLabel: Day\nSuite: stable\nCodename: day\nDate: %s\nSHA256:\n %s %s Packages\n' \
            "$(date -Ru)" "$sum" "$(stat -c %s Packages)" >Release
    )
}
