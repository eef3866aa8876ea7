# Timers of a user's manager, which runs without a login.

own=/home/alice/.config/systemd/user

# as_alice COMMAND...: with what a login of hers would have set.
as_alice() {
    setpriv --reuid=1000 --regid=1000 --init-groups env -i \
        PATH=/usr/bin:/bin HOME=/home/alice XDG_RUNTIME_DIR=/run/user/1000 \
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

mkdir -p $own
printf '%s\n' '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=oneshot \
    'ExecStart=/bin/touch /run/act/user' >$own/act-user.service
printf '%s\n' '[Timer]' AccuracySec=100ms OnActiveSec=1 OnUnitActiveSec=2 >$own/act-user.timer
chown -R alice: /home/alice/.config
chmod 1777 /run/act
truth 'user:1000 act-user.service' 'timer act-user.timer' ...
truth 'user:1000 act-user-run.service' 'timer act-user-run.timer'
loginctl enable-linger alice
declare -i rounds=0
until [[ -S /run/user/1000/systemd/private && -S /run/user/1000/bus ]]; do
    pause 0.1
    if ((++rounds > 900)); then
        echo "no manager of alice's"
        exit 1
    fi
done
as_alice systemctl --user daemon-reload
as_alice systemctl --user start act-user.timer
as_alice systemd-run -q --user --unit act-user-run --on-active=1 \
    --timer-property=AccuracySec=100ms /bin/touch /run/act/user-run
await user-run
for _ in 1 2 3 4; do
    await user
done
as_alice systemctl --user stop act-user.timer
