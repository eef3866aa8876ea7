. /scenario/lib.sh

service=/etc/systemd/system/steady.service
timer=/etc/systemd/system/steady.timer

echo "[Unit]" >$service
echo "Description=A steady job" >>$service
echo "[Service]" >>$service
echo "Type=simple" >>$service
echo "ExecStart=/bin/touch /tmp/steady-marker" >>$service
echo "[Install]" >>$service
echo "WantedBy=multi-user.target" >>$service

echo "[Unit]" >$timer
echo "Description=Runs the steady job" >>$timer
echo "Requires=steady.service" >>$timer
echo "[Timer]" >>$timer
echo "Unit=steady.service" >>$timer
echo "OnCalendar=*-*-* *:*:00" >>$timer
echo "[Install]" >>$timer
echo "WantedBy=timers.target" >>$timer

systemctl start steady.timer
systemctl enable steady.timer
systemctl daemon-reload

# Requires= starts the service together with the timer: the first run is not the timer's doing.
wait_until 30 test -e /tmp/steady-marker
rm /tmp/steady-marker
wait_until 150 test -e /tmp/steady-marker
systemctl stop steady.timer
