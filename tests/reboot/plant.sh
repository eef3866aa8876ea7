# plant.sh NAME DIRECTORY: what an attacker leaves behind.
cat >"$2/$1.service" <<END
[Unit]
ConditionPathExists=/run/fire
[Service]
Type=oneshot
ExecStart=/bin/touch /run/fired
END
cat >"$2/$1.timer" <<END
[Timer]
OnCalendar=*:*:0/5
AccuracySec=100ms
[Install]
WantedBy=timers.target
END
