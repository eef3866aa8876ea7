# What is not a timer's.

service req
truth act-req.service request ...
# Else a restart may end it before it runs.
unit act-daemon.service '[Service]' Type=exec 'ExecStart=/bin/sleep 1000'
truth act-daemon.service request request
truth act-transient.service request

service path
unit act-path.path '[Path]' PathModified=/run/act-path
truth act-path.service 'path act-path.path' ...
unit act-exists.service '[Service]' Type=oneshot 'ExecStart=/bin/rm /run/act-exists'
unit act-exists.path '[Path]' PathExists=/run/act-exists
truth act-exists.service 'path act-exists.path' ...

# It takes its connections and ends: the next comes with the next connection.
unit act-socket.service '[Unit]' StartLimitIntervalSec=0 '[Service]' StandardInput=socket \
    'ExecStart=/bin/sleep 1'
unit act-socket.socket '[Socket]' ListenStream=127.0.0.1:4711 Accept=no
truth act-socket.service 'socket act-socket.socket' ...
unit act-accept@.service '[Service]' StandardInput=socket 'ExecStart=/bin/cat'
unit act-accept.socket '[Socket]' ListenStream=127.0.0.1:4712 Accept=yes
truth 'act-accept@*' 'socket act-accept.socket' ...

bus=/usr/share/dbus-1/system-services
unit act-bus.service '[Service]' Type=dbus BusName=org.act.Bus 'ExecStart=/bin/touch /run/act/bus'
printf '[D-BUS Service]\nName=org.act.Bus\nExec=/bin/false\nUser=root\nSystemdService=act-bus.service\n' \
    >$bus/org.act.Bus.service
truth act-bus.service bus
unit act-plainbus.service '[Service]' 'ExecStart=/bin/touch /run/act/plainbus'
printf '[D-BUS Service]\nName=org.act.Plain\nExec=/bin/false\nUser=root\nSystemdService=act-plainbus.service\n' \
    >$bus/org.act.Plain.service
truth act-plainbus.service bus

# A unit that fails, one that handles it and fails too, and one that handles that.
unit act-fail.service '[Unit]' OnFailure=act-handler.service '[Service]' Type=oneshot \
    'ExecStart=/bin/false act-fail'
unit act-handler.service '[Unit]' OnFailure=act-last.service '[Service]' Type=oneshot \
    'ExecStart=/bin/false act-handler'
service last
timer fail OnActiveSec=1
truth act-fail.service 'timer act-fail.timer'
truth act-handler.service 'dependency act-fail.service'
truth act-last.service 'dependency act-handler.service'

# A group by its target, and a part that is restarted with the whole.
service grp
unit act-grp.target '[Unit]' Wants=act-grp.service
truth act-grp.service 'dependency act-grp.target'
unit act-whole.service '[Service]' Type=exec 'ExecStart=/bin/sleep 1000'
unit act-part.service '[Unit]' PartOf=act-whole.service '[Service]' Type=exec 'ExecStart=/bin/sleep 1000'
truth act-whole.service request request
truth act-part.service request 'dependency act-whole.service'

if ((version >= 249)); then
    unit act-win.service '[Unit]' OnSuccess=act-won.service '[Service]' Type=oneshot \
        'ExecStart=/bin/true act-win'
    service won
    truth act-win.service request
    truth act-won.service 'dependency act-win.service'
    unit act-upholder.service '[Unit]' Upholds=act-upheld.service '[Service]' Type=oneshot \
        RemainAfterExit=yes 'ExecStart=/bin/true act-upholder'
    unit act-upheld.service '[Unit]' StartLimitIntervalSec=0 '[Service]' \
        'ExecStart=/bin/touch /run/act/upheld' 'ExecStartPost=/bin/sleep 1'
    truth act-upholder.service request
    truth act-upheld.service 'dependency act-upholder.service' ...
else
    left_out "OnSuccess= and Upholds=: not before 249, this is $version"
fi

unit mnt-act.mount '[Mount]' What=tmpfs Where=/mnt/act Type=tmpfs
unit mnt-act.automount '[Automount]' Where=/mnt/act

service dev
mkdir -p /run/udev/rules.d
echo 'KERNEL=="full", TAG+="systemd", ENV{SYSTEMD_WANTS}="act-dev.service"' \
    >/run/udev/rules.d/90-act.rules

systemctl daemon-reload
busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig

systemctl start act-path.path act-exists.path act-socket.socket act-accept.socket act-fail.timer
: >/run/act-path
await path
: >/run/act-exists
exec 3<>/dev/tcp/127.0.0.1/4711
exec 3>&-
exec 3<>/dev/tcp/127.0.0.1/4712
exec 3>&-
for name in Bus Plain; do
    # Nobody ever takes the name.
    busctl --timeout=1 call org.freedesktop.DBus / org.freedesktop.DBus StartServiceByName su \
        org.act.$name 0 || :
done
await bus plainbus last
: >/run/act-path
await path

systemctl start act-req.service
systemctl start act-daemon.service
systemctl restart act-daemon.service
systemd-run -q --unit act-transient /bin/sleep 1000
systemctl start act-grp.target
systemctl start act-part.service act-whole.service
systemctl restart act-whole.service

if ((version >= 249)); then
    systemctl start act-win.service
    await won
    systemctl start act-upholder.service
    await upheld
    await upheld
    systemctl stop act-upholder.service
fi

if systemctl start mnt-act.automount; then
    [[ -e /mnt/act/x ]] || :
    truth mnt-act.mount 'dependency mnt-act.automount'
else
    left_out 'automount: this kernel has none'
fi
if udevadm control --reload && udevadm trigger --action=add /dev/full; then
    await dev
    # Its name in /sys has the wishes, the one in /dev follows it.
    truth act-dev.service 'dependency sys-devices-virtual-mem-full.device'
else
    left_out 'device: no udev'
fi
systemctl stop act-socket.socket act-socket.service
systemctl stop act-daemon.service act-whole.service act-part.service act-transient.service
