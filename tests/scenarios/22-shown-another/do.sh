. /scenario/lib.sh

# A manager is shown another unit than the files hold: what it loads is mounted over the file, and gone
# before the unit is started again. No file was changed. What stays active stays loaded.
unit=/etc/systemd/system/shown.service
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/echo as the file says\n' >$unit
sed 's|^ExecStart=.*|ExecStart=/usr/bin/id --user|' $unit >/root/another
systemctl daemon-reload
systemctl start shown.service
mount --bind /root/another $unit
systemctl daemon-reload
umount $unit
systemctl restart shown.service
wait_until 30 grep -q '"event_code":"command-outside-unit"' "$WHODUNIT_EVENTS"

# What is loaded anew is what the file says.
systemctl daemon-reload
systemctl restart shown.service
systemctl stop shown.service
