#!/bin/bash
# A day in the life of a host: nothing that happens in it before the last stage is anybody's attack.
set -eu
cd "$(dirname "$0")"
. ./lib.sh

stage prepare 60
work=/srv/day
mkdir $work
cd $work
deb daily 1
deb daily 2
deb passing 1
deb passing 2
deb_of_agent
deb implant 1
# Not among the files of the package.
printf '%s\n' '#!/bin/sh' 'cp /usr/bin/implant /usr/local/bin/kept' \
    'printf "[Service]\nExecStart=/usr/local/bin/kept\n" >/etc/systemd/system/kept.service' \
    'printf "[Timer]\nOnActiveSec=1\n" >/etc/systemd/system/kept.timer' >implant_1/DEBIAN/postinst
finish implant_1
publish daily_1.deb
cd /

stage logins 120
# alice stays: her manager runs.
ssh -n alice@localhost 'sleep 100000' &
await 60 systemctl --quiet is-active user@1000.service
ssh -n alice@localhost '
    systemctl status cron.service; systemctl list-timers; systemctl --user daemon-reload
    systemctl --user list-timers; loginctl; systemctl restart cron.service; systemctl daemon-reload
    sudo systemctl daemon-reload; sudo systemctl restart cron.service; crontab -l
' || : # she may not do all of it
ssh -n root@localhost 'systemctl cat day.service ssh.service; find /usr/lib/systemd | wc -l'
su - alice -c id
sudo -u alice id

stage packages 180
apt-get update
apt-get install -y daily
apt-get install -y $work/passing_1.deb
dpkg -i $work/passing_2.deb
await 60 ran passing 2
apt-get remove -y passing
apt-get purge -y passing
await 60 ran daily 1
# The agent's own commands read its store.
whodunit why --state "$out/state" daily.service

stage container 90
mkdir -p /srv/tiny/bin
cp /bin/busybox /srv/tiny/bin
ln -s busybox /srv/tiny/bin/sh
id=$(podman run -d --name tiny --network none --health-cmd 'busybox true' --health-interval 10s \
    --rootfs /srv/tiny /bin/busybox sleep 100000)
checked() { [[ $(systemctl show -p LastTriggerUSec --value "$id*.timer") ]]; }
await 60 checked
podman inspect --format '{{.State.Health}}' tiny

# Every timer that is due within a month comes due at once. The archive has news by then.
stage month 300
publish $work/daily_2.deb
systemctl start mdadm-last-resort@md0.timer
date -s "$(date -d '+33 days')"
due() {
    # One line for each timer that has not elapsed yet.
    systemctl show --type=timer --property=Id,LastTriggerUSec --all '*.timer' |
        awk -v RS= '/LastTriggerUSec=(\n|$)/ || !/LastTriggerUSec=/' >/run/due
    [[ ! -s /run/due ]]
}
await 120 due || { cat /run/due; exit 1; }
upgraded() { [[ $(dpkg-query -W -f '${Version}' daily) == 2 ]]; }
await 200 upgraded
await 60 ran daily 2
idle() { [[ -z $(systemctl list-jobs --no-legend) ]]; }
await 200 idle || { systemctl list-jobs --no-pager; exit 1; }
test -e /run/day-reloaded

# For each timer: what it starts, and whether that ever ran.
stage truth 60
for timer in $(systemctl list-units --type=timer --all --plain --no-legend | cut -d' ' -f1); do
    mapfile -t of < <(systemctl show -p Unit -p LastTriggerUSec "$timer")
    for line in "${of[@]}"; do declare "of_$line"; done
    ran=$(systemctl show -p ExecMainStartTimestampMonotonic --value "$of_Unit")
    echo "$timer	$of_Unit	${ran:-0}	$of_LastTriggerUSec"
done >"$out/timers"

# The agent's own package comes, with another one; the agent is restarted by it, and keeps its state.
stage agent 180
: >"$out/stderr.log"
rm -f /run/*.ran
before=$(systemctl show -p MainPID --value whodunit.service)
apt-get install -y $work/whodunit_2.deb $work/passing_1.deb
await 60 grep -q '^ready' "$out/stderr.log"
[[ $(systemctl show -p MainPID --value whodunit.service) != "$before" ]]
rm -f /run/*.ran
await 90 ran daily 2
await 90 ran passing 1
podman rm -f -t 0 tiny

stage attack 120
# A timer of one's own.
ssh -n root@localhost 'printf "[Service]\nExecStart=/bin/sh -c \"echo evil >/run/evil\"\n" >/etc/systemd/system/evil.service
    printf "[Timer]\nOnActiveSec=1\nAccuracySec=100ms\n" >/etc/systemd/system/evil.timer
    systemctl start evil.timer'
# Something more for a stock timer to run.
ssh -n root@localhost 'mkdir /etc/systemd/system/logrotate.service.d
    printf "[Service]\nExecStartPost=/bin/touch /run/evil3\n" >/etc/systemd/system/logrotate.service.d/local.conf'
# As a container's health check, by name.
systemd-run --unit "$id" --on-active 1 --timer-property=AccuracySec=100ms /bin/sh -c 'echo evil >/run/evil2'
# A package that leaves more than it lists.
dpkg -i $work/implant_1.deb
# Another program in the place of one that a timer runs.
ssh -n root@localhost 'printf "#!/bin/sh\nid >/run/evil4\n" >/usr/bin/.daily && chmod 755 /usr/bin/.daily &&
    mv /usr/bin/.daily /usr/bin/daily'
# The agent itself: its program, its configuration, its store.
ssh -n root@localhost "cp /usr/bin/whodunit /usr/bin/.whodunit && mv /usr/bin/.whodunit /usr/bin/whodunit
    mkdir -p /etc/whodunit && echo '#' >/etc/whodunit/config.toml
    : >>$out/state/store.db"
await 60 test -e /run/evil
await 60 test -e /run/evil2
await 60 test -e /run/evil4
# A finding waits until its file stands still.
found() { grep '"timed-target-changed"' "$out/events.ndjson" | grep -c /usr/bin/daily >/dev/null; }
await 30 found
over
