# Runs of timers, and runs that look like them.

service rep
timer rep OnActiveSec=1 OnUnitActiveSec=2
truth act-rep.service 'timer act-rep.timer' ...

unit act-simple.service '[Unit]' StartLimitIntervalSec=0 '[Service]' 'ExecStart=/bin/true act-simple'
timer simple OnActiveSec=1 OnUnitActiveSec=2
truth act-simple.service 'timer act-simple.timer' ... request

service inact
timer inact OnActiveSec=1 OnUnitInactiveSec=3 RandomizedDelaySec=500ms
truth act-inact.service 'timer act-inact.timer' ...

service cal
timer cal 'OnCalendar=*:*:0/3'
truth act-cal.service 'timer act-cal.timer' ...

# In the past: it elapses as it is started.
service past
timer past OnBootSec=1
truth act-past.service 'timer act-past.timer'

# Its timer stays loaded, so that later starts carry TRIGGER_UNIT too.
service stale
timer stale OnActiveSec=1
truth act-stale.service 'timer act-stale.timer' request ...

service forged Environment=TRIGGER_UNIT=act-other.timer Environment=TRIGGER_TIMER_MONOTONIC_USEC=1
timer forged OnActiveSec=3
truth act-forged.service request 'timer act-forged.timer'

service unset 'UnsetEnvironment=TRIGGER_UNIT TRIGGER_TIMER_REALTIME_USEC TRIGGER_TIMER_MONOTONIC_USEC'
timer unset OnActiveSec=1
truth act-unset.service 'timer act-unset.timer'

service id Environment=INVOCATION_ID=0123456789abcdef0123456789abcdef
timer id OnActiveSec=1 OnUnitActiveSec=9
truth act-id.service 'timer act-id.timer' ...

service inst@
unit act-inst@.timer '[Timer]' AccuracySec=100ms OnActiveSec=1
truth act-inst@x.service 'timer act-inst@x.timer'

service tpl@
timer tpl OnActiveSec=1 Unit=act-tpl@one.service
truth act-tpl@one.service 'timer act-tpl.timer'

unit .act-dot.service '[Service]' Type=oneshot 'ExecStart=/bin/touch /run/act/dot'
unit .act-dot.timer '[Timer]' AccuracySec=100ms OnActiveSec=1
truth .act-dot.service 'timer .act-dot.timer'

service two
timer two-a OnActiveSec=1 Unit=act-two.service
timer two-b OnActiveSec=1 Unit=act-two.service
truth act-two.service 'timer act-two-a.timer' 'timer act-two-b.timer'

# A timer that starts a timer.
service link
timer link OnActiveSec=1
timer chain OnActiveSec=1 Unit=act-link.timer
truth act-link.service 'timer act-link.timer'

# A timer that starts a target.
service tgt
unit act-tgt.target '[Unit]' Wants=act-tgt.service
timer tgt OnActiveSec=1 Unit=act-tgt.target
truth act-tgt.service 'dependency act-tgt.target'

# Started as the timer is, not when it elapses.
service reqt
unit act-reqt.timer '[Unit]' Requires=act-reqt.service '[Timer]' OnActiveSec=1h
truth act-reqt.service 'dependency act-reqt.timer'

# A drop-in says when, and what.
service dropped
unit act-drop.timer '[Timer]' AccuracySec=100ms OnActiveSec=1h
mkdir -p $units/act-drop.timer.d
unit act-drop.timer.d/all.conf '[Timer]' OnActiveSec= OnActiveSec=1 Unit=act-dropped.service
truth act-dropped.service 'timer act-drop.timer'

unit act-again.service '[Unit]' StartLimitIntervalSec=60 StartLimitBurst=3 '[Service]' \
    'ExecStart=/bin/false act-again' Restart=on-failure RestartSec=500ms
timer again OnActiveSec=1
truth act-again.service 'timer act-again.timer' 'restart act-again.service' ...

# The second timer elapses while it runs, however slow the machine is.
unit act-busy.service '[Service]' Type=oneshot 'ExecStartPre=/bin/touch /run/act/busy' \
    'ExecStart=/bin/sleep 1000'
timer busy OnActiveSec=1
timer busy-b OnActiveSec=1 Unit=act-busy.service
truth act-busy.service 'timer act-busy.timer' 'timer act-busy.timer'

# The job waits, and the manager reads its files again meanwhile.
unit act-slow.service '[Service]' Type=oneshot 'ExecStart=/bin/sleep 8'
unit act-wait.service '[Unit]' After=act-slow.service '[Service]' Type=oneshot \
    'ExecStart=/bin/touch /run/act/wait'
timer wait OnActiveSec=2
truth act-slow.service request
truth act-wait.service 'timer act-wait.timer'

# Nothing runs at the timer's.
unit act-cond.service '[Unit]' ConditionPathExists=/run/act-cond '[Service]' Type=oneshot \
    'ExecStart=/bin/touch /run/act/cond'
timer cond OnActiveSec=1
truth act-cond.service request

# The service stops its timer, or removes it altogether.
service own 'ExecStartPre=/bin/systemctl stop act-own.timer'
timer own OnActiveSec=1
truth act-own.service 'timer act-own.timer' 'timer act-own.timer'
service gone "ExecStartPre=/bin/rm $units/act-gone.timer" 'ExecStartPre=/bin/systemctl daemon-reload'
timer gone OnActiveSec=2
truth act-gone.service 'timer act-gone.timer' 'timer act-gone.timer' 'timer act-gone.timer'

service clock
timer clock OnClockChange=yes
truth act-clock.service 'timer act-clock.timer' 'timer act-clock.timer'
service zone
timer zone OnTimezoneChange=yes
truth act-zone.service 'timer act-zone.timer'

truth act-run.service 'timer act-run.timer'

systemctl daemon-reload
systemctl start act-{rep,simple,inact,cal,past,stale,unset,id,tpl,two-a,chain,tgt}.timer
systemctl start act-{drop,again,busy,cond,own,gone,clock,zone}.timer act-inst@x.timer .act-dot.timer
systemctl start act-reqt.timer
systemctl start act-forged.service
rm -f /run/act/forged
systemctl start act-forged.timer
systemctl start --no-block act-slow.service
systemctl start act-wait.timer
systemd-run -q --unit act-run --on-active=1 --timer-property=AccuracySec=100ms /bin/touch /run/act/run
await busy
systemctl start act-busy-b.timer
await rep inact cal past stale unset id inst@ tpl@ dot two link tgt reqt dropped own gone forged run
systemctl start act-two-b.timer
await two
# Forth and back.
date -s "@$((EPOCHSECONDS + 40))"
await clock
date -s "@$((EPOCHSECONDS - 40))"
await clock
ln -sfn /usr/share/zoneinfo/UTC /etc/localtime
await zone
# Its timer elapsed two seconds after the start; the job waits, or is through.
kill -HUP 1
await wait
systemctl stop act-simple.timer
for _ in 1 2 3; do
    systemctl start act-stale.service
done
pause 1
systemctl start act-simple.service
: >/run/act-cond
systemctl start act-cond.service
systemctl daemon-reload
await rep
await rep
systemctl stop act-{rep,inact,cal,id}.timer act-busy.service
