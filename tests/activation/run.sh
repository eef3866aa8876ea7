#!/bin/bash
# Starts units in every way systemd knows; expect.json says what started each, in order.
set -eu
exec {never}<> <(:)

# pause SECONDS: without a process of its own.
pause() {
    read -rt "$1" -u "$never" || :
}

units=/etc/systemd/system

# unit NAME LINE...: writes a unit file.
unit() {
    local name=$1
    shift
    printf '%s\n' "$@" >"$units/$name"
}

# service NAME LINE...: a oneshot that runs true; lines go to [Service].
service() {
    local name=$1
    shift
    unit "act-$name.service" '[Unit]' 'StartLimitIntervalSec=0' '[Service]' Type=oneshot \
        "ExecStart=/bin/true act-$name" "$@"
}

# timer NAME LINE...: lines go to [Timer].
timer() {
    local name=$1
    shift
    unit "act-$name.timer" '[Timer]' AccuracySec=100ms "$@"
}

service rep
timer rep OnActiveSec=1 OnUnitActiveSec=2
unit act-simple.service '[Unit]' StartLimitIntervalSec=0 '[Service]' 'ExecStart=/bin/true act-simple'
timer simple OnActiveSec=1 OnUnitActiveSec=2
service man
timer man OnActiveSec=1
service cal
timer cal 'OnCalendar=*:*:0/3'
service reqt
unit act-reqt.timer '[Unit]' Requires=act-reqt.service '[Timer]' OnActiveSec=1h
service tgt
unit act-tgt.target '[Unit]' Wants=act-tgt.service
timer tgt OnActiveSec=1 Unit=act-tgt.target
service handler
unit act-fail.service '[Unit]' OnFailure=act-handler.service '[Service]' Type=oneshot \
    'ExecStart=/bin/false act-fail'
timer fail OnActiveSec=1
unit act-again.service '[Unit]' StartLimitIntervalSec=60 StartLimitBurst=3 '[Service]' \
    'ExecStart=/bin/false act-again' Restart=on-failure RestartSec=500ms
timer again OnActiveSec=1
service path
unit act-path.path '[Path]' PathModified=/run/act-path
unit act-socket.service '[Service]' 'ExecStart=/bin/sleep 2'
unit act-socket.socket '[Socket]' ListenStream=127.0.0.1:4711
service inst@
unit act-inst@.timer '[Timer]' AccuracySec=100ms OnActiveSec=1
service two
timer two-a OnActiveSec=1 Unit=act-two.service
timer two-b OnActiveSec=4 Unit=act-two.service
service forged Environment=TRIGGER_UNIT=act-other.timer Environment=TRIGGER_TIMER_MONOTONIC_USEC=1
timer forged OnActiveSec=3
service unset 'UnsetEnvironment=TRIGGER_UNIT TRIGGER_TIMER_REALTIME_USEC TRIGGER_TIMER_MONOTONIC_USEC'
timer unset OnActiveSec=1
unit act-busy.service '[Service]' Type=oneshot 'ExecStart=/bin/sleep 5'
timer busy OnActiveSec=1
timer busy-b OnActiveSec=3 Unit=act-busy.service
service plain
service reload
timer reload OnActiveSec=1 OnUnitActiveSec=4
unit act-slow.service '[Service]' Type=oneshot 'ExecStart=/bin/sleep 6'
unit act-wait.service '[Unit]' After=act-slow.service '[Service]' Type=oneshot \
    'ExecStart=/bin/true act-wait'
timer wait OnActiveSec=2
unit act-cond.service '[Unit]' ConditionPathExists=/run/act-cond '[Service]' Type=oneshot \
    'ExecStart=/bin/true act-cond'
timer cond OnActiveSec=1
service id Environment=INVOCATION_ID=0123456789abcdef0123456789abcdef
timer id OnActiveSec=1 OnUnitActiveSec=3
for n in 1 2 3 4; do
    service "many$n"
    timer "many$n" OnActiveSec=1 OnUnitActiveSec=250ms AccuracySec=1ms
done
systemctl daemon-reload

systemctl start act-{rep,simple,man,cal,tgt,fail,again,two-a,two-b,unset,busy,busy-b}.timer
systemctl start act-inst@x.timer act-path.path act-socket.socket act-cond.timer act-id.timer
systemctl start act-reqt.timer
systemctl start act-plain.service
systemctl start act-forged.service
systemctl start act-forged.timer
systemctl start --no-block act-slow.service
systemctl start act-wait.timer
systemd-run -q --unit act-run --on-active=1 --timer-property=AccuracySec=100ms /bin/true act-run

# Everything that fires once has, though the machine may be slow.
pause 12
systemctl start act-man.service
: >/run/act-path
exec 3<>/dev/tcp/127.0.0.1/4711
exec 3>&-
systemctl stop act-simple.timer
pause 3
systemctl start act-simple.service
: >/run/act-cond
systemctl start act-cond.service
systemctl start act-reload.timer
pause 4
systemctl daemon-reload
pause 6
systemctl stop act-rep.timer act-cal.timer act-id.timer act-reload.timer

systemctl start act-many{1,2,3,4}.timer
pause 40
systemctl stop act-many{1,2,3,4}.timer
# The last verdicts.
pause 3
