# Many, of all kinds at once. How fast depends on how long a start takes on this machine.

for n in 1 2 3 4; do
    service "many$n"
    truth "act-many$n.service" "timer act-many$n.timer" ...
done
unit act-crash.service '[Unit]' StartLimitIntervalSec=0 '[Service]' 'ExecStart=/bin/false act-crash' \
    Restart=on-failure RestartSec=2
truth act-crash.service request 'restart act-crash.service' ...
systemctl daemon-reload

declare -i total=0
for ((round = 0; round < 10; round++)); do
    began=$EPOCHREALTIME
    systemctl start act-req.service
    ended=$EPOCHREALTIME
    took=$((${ended/./} - ${began/./}))
    echo "$took" >>"$WHODUNIT_OUT/round-trips"
    total+=took
done
for n in 1 2 3 4; do
    timer "many$n" OnActiveSec=1 "OnUnitActiveSec=$((total * 6 / 10))us" AccuracySec=1ms
done
systemctl daemon-reload
systemctl start act-many{1,2,3,4}.timer
systemctl start act-crash.service
for ((round = 0; round < 80; round++)); do
    systemctl start act-req.service
    : >/run/act-path
    exec 3<>/dev/tcp/127.0.0.1/4712
    exec 3>&-
    systemctl start act-stale.service
    : >/run/act-exists
    await path
done
systemctl stop act-many{1,2,3,4}.timer act-crash.service act-path.path act-accept.socket
