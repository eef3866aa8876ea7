. /scenario/lib.sh

mkdir -p /dev/shm/.hold
printf '[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/shm-marker\n' >/dev/shm/.hold/shm.service
systemctl link /dev/shm/.hold/shm.service
systemctl start shm.service
wait_until 30 test -e /tmp/shm-marker
