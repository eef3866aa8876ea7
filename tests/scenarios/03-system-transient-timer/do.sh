. /scenario/lib.sh

systemd-run --unit=chore --on-active=2s --timer-property=AccuracySec=100ms \
    /bin/touch /tmp/chore-marker
wait_until 60 test -e /tmp/chore-marker
