. /scenario/lib.sh

unit=/etc/systemd/system/plain.service
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >$unit
systemctl daemon-reload
systemctl start plain.service

# Somebody else's unit runs what the drop-in says.
mkdir $unit.d && printf '[Service]\nExecStart=\nExecStart=/bin/touch /tmp/plain-marker\n' >$unit.d/50-more.conf
systemctl daemon-reload
systemctl start plain.service
wait_until 30 test -e /tmp/plain-marker

# One that adds to every service at once.
mkdir /etc/systemd/system/service.d
printf '[Service]\nExecStartPre=/bin/touch /tmp/every-marker\n' >/etc/systemd/system/service.d/all.conf
rm -r /etc/systemd/system/service.d
