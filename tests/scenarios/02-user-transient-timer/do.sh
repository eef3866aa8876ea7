. /scenario/lib.sh

loginctl enable-linger alice
wait_until 60 test -S /run/user/1000/systemd/private
wait_until 60 test -S /run/user/1000/bus
as_alice systemd-run --user --unit=errand --on-active=2s --timer-property=AccuracySec=100ms \
    /bin/touch /tmp/errand-marker
wait_until 60 test -e /tmp/errand-marker

# Her load path becomes another directory, and is written to before anybody can have looked.
as_alice bash -c '
    mkdir -p ~/real/systemd/user
    rm -rf ~/.config
    ln -s ~/real ~/.config
    printf "[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/linked-marker\n" >~/.config/systemd/user/linked.service
    printf "[Timer]\nOnActiveSec=1\nAccuracySec=100ms\n" >~/.config/systemd/user/linked.timer
    systemctl --user daemon-reload
    systemctl --user start linked.timer'
wait_until 60 test -e /tmp/linked-marker
