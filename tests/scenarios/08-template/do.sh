. /scenario/lib.sh

dir=/etc/systemd/system
printf '[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/template-%%i\n' >$dir/each@.service
systemctl start each@one.service
wait_until 30 test -e /tmp/template-one

# No `ls` shows it, and systemd takes it.
printf '[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/dot-marker\n' >$dir/.dot.service
systemctl start .dot.service || echo "this systemd does not load a hidden unit"
