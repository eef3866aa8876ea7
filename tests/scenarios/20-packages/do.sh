. /scenario/lib.sh

# Twenty packages with a unit each, every fourth with a timer as well, and maintainer scripts as
# debhelper writes them.
work=/var/tmp/packages
mkdir -p $work/noise{1..20}/{DEBIAN,lib/systemd/system,usr/bin}
cd $work
for n in {1..20}; do
    name=noise$n
    unit=$name.service
    files="lib/systemd/system/$unit usr/bin/$name"
    cd $work/$name
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: test\n' \
        $name >DEBIAN/control
    printf '#!/bin/sh\nexit 0\n' >usr/bin/$name
    printf '[Service]\nType=oneshot\nExecStart=/usr/bin/%s\nRemainAfterExit=yes\n' $name >lib/systemd/system/$unit
    if ((n % 4 == 0)); then
        unit=$name.timer
        files="$files lib/systemd/system/$unit"
        printf '[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n' >lib/systemd/system/$unit
    else
        printf '[Install]\nWantedBy=multi-user.target\n' >>lib/systemd/system/$unit
    fi
    md5sum $files >DEBIAN/md5sums
    cat >DEBIAN/postinst <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = configure ]; then
    deb-systemd-helper enable $unit >/dev/null || true
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        systemctl start $unit >/dev/null || true
    fi
fi
SCRIPT
    cat >DEBIAN/postrm <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "\$1" = purge ]; then
    deb-systemd-helper purge $unit >/dev/null || true
fi
SCRIPT
done
chmod 755 $work/*/DEBIAN/post* $work/*/usr/bin/*
for n in {1..20}; do
    dpkg-deb -Znone --build $work/noise$n $work/noise$n.deb >/dev/null
done
cd /

# What other scenarios and the distribution have set up to run meanwhile is not counted here.
systemctl list-units --all --plain --no-legend --type timer | while read -r timer _; do
    systemctl stop "$timer"
done

phase install
apt-get install -y $work/*.deb

phase reinstall
dpkg -i $work/noise1.deb

phase purge
dpkg --purge noise2

phase reload
for n in $(seq 1 10); do
    systemctl daemon-reload
done

phase tmpfiles
systemd-tmpfiles --create

# What logrotate does: the log goes aside, another takes its place, the old one is packed.
phase rotate
log=/var/log/noise.log
echo line >$log
if command -v logrotate >/dev/null; then
    printf '%s {\n rotate 2\n compress\n create 0640 root adm\n}\n' $log >/var/tmp/rotate.conf
    logrotate --force --state /var/tmp/rotate.state /var/tmp/rotate.conf
else
    mv $log $log.1
    install -m 0640 -o root -g adm /dev/null $log
    gzip $log.1
fi
cat /var/lib/dpkg/info/noise*.list | sort -u | wc -l
phase end
