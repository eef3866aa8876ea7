. /scenario/lib.sh

loginctl enable-linger alice
wait_until 60 test -S /run/user/1000/systemd/private
wait_until 60 test -S /run/user/1000/bus
as_alice systemd-run --user --unit=errand --on-active=2s --timer-property=AccuracySec=100ms \
    /bin/touch /tmp/errand-marker
wait_until 60 test -e /tmp/errand-marker
