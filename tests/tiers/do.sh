#!/bin/bash
# Makes every kind of change once, while three sensors look on: the machine's own (by LSM, as the
# harness is told to run it) and two more. What belongs together has a name of its own: x-NAME.
set -u
cd "$(dirname "$0")" || exit 1
out=$WHODUNIT_OUT
failed=0

units=/etc/systemd/system
text='[Service]\nExecStart=/bin/true\n'
more='Environment=A=1\n'

item() { at=$1; }
fault() { echo "failed: $at: $*"; failed=1; }
doer() { perl do.pl "$@" || fault "$@"; }
run() { "$@" || fault "$@"; }
mark() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "$1 all $uptime" >>"$out/marks"
}
# Waits without a process of its own.
exec {never}<> <(:)
pause() { read -rt "$1" -u "$never" || :; }

# --- what has to be there before ---
item before
mkdir -p /srv/x /root/x "$units/x-dropin.service.d" "$units/x-wants.target.wants" \
    /etc/systemd/{user,system-generators,user-generators,system-environment-generators,system-preset,user-preset} \
    /etc/systemd/system.conf.d /usr/local/lib/systemd/{system,user} /run/systemd/{system,user} /etc/xdg/systemd \
    /var/lib/systemd/{linger,timers} /var/lib/extensions /var/lib/confexts \
    /root/.config/systemd/user /home/alice/.config/systemd/user /home/alice/.local/share/systemd/{user,timers} \
    /var/lib/capsules/x/.config/systemd/user
for name in append otrunc truncate ftruncate heldfd mmap fallocate renameout renameover sedi exchange \
    whiteout unlink chmod chown utimes setxattr removexattr setacl mountfile cp install overlayappend othername outname handle; do
    printf "$text" >"$units/x-$name.service"
done
doer setxattr "$units/x-removexattr.service"
ln "$units/x-othername.service" /root/x/x-othername
for name in copyrange renamein hardlink exchange mountfile; do
    printf "$text" >"/root/x/x-$name.service"
done
printf "$text$more" >"$units/x-renameover.tmp"
mkdir "/root/x/x-renamedir.service.d" "$units/x-rmdir.service.d" "$units/x-tmpfs.service.d" "$units/x-movemount.service.d" \
    "$units/x-clonemount.service.d" "$units/x-newmount.service.d" "$units/x-bindover.service.d" "$units/x-movedir.service.d" \
    {/root/x,"$units"}/x-exchangedir.service.d
printf "$text" >/root/x/x-exchangedir.service.d/a.conf
printf "$text" >/root/x/x-renamedir.service.d/a.conf
printf "$text" >$units/x-movedir.service.d/a.conf
ln -s /etc/systemd /srv/x/parent
mkdir -p /srv/x/{bind,moved,source,lower,merged,root,box,early,second} /etc/x-work
mount --bind "$units" /srv/x/early
mount "$(findmnt --noheadings --output SOURCE /)" /srv/x/second || fault second
printf "$text" >/srv/x/source/a.conf
# Files right in /etc that generators read: one is there, the other is not.
note='# x\n'
[ -e /etc/fstab ] || : >/etc/fstab
printf "$note" >/etc/x-fstab
# A file system in a file.
truncate -s 4M /root/x/x-image
mkfs.ext4 -q /root/x/x-image || fault image
mkdir "$units/x-loop.service.d"
mount -o loop /root/x/x-image /mnt || fault loop
printf "$text" >/mnt/a.conf
umount /mnt
# A timed unit and what it rests on.
printf '#!/bin/sh\n' >/srv/x/x-target
printf '#!/bin/sh\n' >/srv/x/x-script
printf 'A=1\n' >/srv/x/x-environment
chmod +x /srv/x/x-target
printf '[Service]\nExecStartPre=/srv/x/x-target\nExecStart=/bin/sh /srv/x/x-script\nEnvironmentFile=-/srv/x/x-environment\n' >$units/x-timed.service
printf '[Timer]\nOnCalendar=yearly\n' >$units/x-timed.timer
mkdir -p /srv/x/x-{missing,parts,overdir} /srv/x/x-{repoint,swapdir}/{one,two}
for file in /srv/x/x-{repoint,swapdir}/{one,two}/run /srv/x/x-overdir/run /srv/x/x-{inline,relative}; do
    printf '#!/bin/sh\n' >$file
done
printf 'true\n' | tee -a /srv/x/x-{repoint,swapdir}/two/run >/dev/null
ln -s one /srv/x/x-repoint/current
printf '[Service]\nWorkingDirectory=/srv/x\nExecStart=/bin/sh x-relative\n' >$units/x-more.service
for line in -/srv/x/x-missing/run /srv/x/x-{repoint/current,swapdir/one,overdir}/run \
    "/bin/sh -c '. /srv/x/x-inline; true'" "/bin/run-parts /srv/x/x-parts"; do
    echo "ExecStartPre=$line" >>$units/x-more.service
done
printf '[Timer]\nOnCalendar=yearly\n' >$units/x-more.timer
printf "$text" | tee /dev/shm/x-linked.service >/dev/shm/x-loaded.service
useradd --create-home --uid 2001 x-renamehome
mkdir -p /home/x-renamehome/new/systemd/user
printf "$text" >/home/x-renamehome/new/systemd/user/x-renamehome.service
# A home that does not answer. From here on nothing may look there.
mkdir /srv/x/dead
modprobe fuse
perl do.pl dead /srv/x/dead &
dead=$!
until grep -q ' /srv/x/dead ' /proc/mounts; do
    pause 0.1
    kill -0 "$dead" 2>/dev/null || { fault "no dead file system"; break; }
done
echo 'x-dead:x:2003:2003::/srv/x/dead/home:/bin/sh' >>/etc/passwd
# Descriptors from before the sensors.
exec 8>>"$units/x-heldfd.service"

for tier in fentry kprobe tracepoint; do
    whodunit run --quiet --format ocsf --output "$out/$tier.ndjson" --tier $tier 2>"$out/$tier.err" 8>&- &
    sensors+=($!)
done
ready() {
    local tier line
    for tier in fentry kprobe tracepoint; do
        line=
        while read -r line; do [[ $line == ready* ]] && continue 2; done <"$out/$tier.err"
        return 1
    done
}
until ready 2>/dev/null; do
    pause 0.1
    ((SECONDS < 300)) || { fault "not all sensors are ready"; exit 1; }
done
# Until they have all caught up with each other's starts.
pause 1.5
mark begin

# --- files ---
item create;     printf "$text" >$units/x-create.service
item append;     printf "$more" >>$units/x-append.service
item otrunc;     printf "$text$more" >$units/x-otrunc.service
item truncate;   doer truncate $units/x-truncate.service 10
item ftruncate;  doer ftruncate $units/x-ftruncate.service 10
item heldfd;     printf "$more" >&8; exec 8>&-
item scmrights;  doer scm_rights $units/x-scmrights.service
item mmap;       doer mmap $units/x-mmap.service
item fallocate;  doer fallocate $units/x-fallocate.service
item copyrange;  doer copy_file_range /root/x/x-copyrange.service $units/x-copyrange.service
item tmpfile;    doer tmpfile $units $units/x-tmpfile.service
item iouring;    doer io_uring $units/x-iouring.service ""
item iouringasync; doer io_uring $units/x-iouringasync.service 1
item cp;         run cp /root/x/x-renamein.service $units/x-cp.service
item install;    run install -m 600 /root/x/x-renamein.service $units/x-install.service
item tee;        printf "$text" | tee $units/x-tee.service >/dev/null

# --- names ---
item renamein;   run mv /root/x/x-renamein.service $units/
item renameout;  run mv $units/x-renameout.service /root/x/
item renameover; run mv $units/x-renameover.tmp $units/x-renameover.service
item sedi;       run sed -i s/true/false/ $units/x-sedi.service
item renamedir;  run mv /root/x/x-renamedir.service.d $units/
item movedir;    run mv $units/x-movedir.service.d /root/x/
item exchange;   doer renameat2 /root/x/x-exchange.service $units/x-exchange.service 2
item exchangedir; doer renameat2 /root/x/x-exchangedir.service.d $units/x-exchangedir.service.d 2
item whiteout;   doer renameat2 $units/x-whiteout.service /root/x/x-whiteout.service 4
item hardlink;   run ln /root/x/x-hardlink.service $units/x-hardlink.service
item othername;  printf "$more" >>/root/x/x-othername
item outname
run ln $units/x-outname.service /root/x/x-outname
pause 2
printf "$more" >>/root/x/x-outname
item linkeddir;  run ln -s /srv/x/source $units/x-linkeddir.service.d
item symlink;    run ln -s /srv/x/source/a.conf $units/x-symlink.service
item mask;       run ln -s /dev/null $units/x-mask.service
item fifo;       run mkfifo $units/x-fifo.service
item mknod;      doer mknod $units/x-mknod.service
item mkdir;      run mkdir $units/x-mkdir.service.d
item rmdir;      run rmdir $units/x-rmdir.service.d
item unlink;     run rm $units/x-unlink.service

# --- attributes ---
item chmod;      run chmod 600 $units/x-chmod.service
item chown;      run chown alice $units/x-chown.service
item utimes;     doer utimes $units/x-utimes.service
item setxattr;   doer setxattr $units/x-setxattr.service
item removexattr; doer removexattr $units/x-removexattr.service
item setacl;     doer setacl $units/x-setacl.service

# --- other ways to the same inode ---
item bind
run mount --bind $units /srv/x/bind
printf "$text" >/srv/x/bind/x-bind.service
run umount /srv/x/bind
item procroot;   printf "$text" >/proc/self/root$units/x-procroot.service
item symparent;  printf "$text" >/srv/x/parent/system/x-symparent.service
item namespace
run unshare --mount bash -c "mount --bind $units /mnt; printf '$text' >/mnt/x-namespace.service"
item chroot
run mount --bind / /srv/x/root
run chroot /srv/x/root sh -c "printf '$text' >$units/x-chroot.service"
run umount /srv/x/root

item bindbefore; printf "$text" >/srv/x/early/x-bindbefore.service
item second;     printf "$text" >/srv/x/second$units/x-second.service
item pidroot;    printf "$text" >/proc/1/root$units/x-pidroot.service
item handle;     doer handle $units/x-handle.service
item memfd;      printf "$text" | doer memfd /usr/bin/tee $units/x-memfd.service >/dev/null

# --- mounts ---
item mountfile;  run mount --bind /root/x/x-mountfile.service $units/x-mountfile.service
item bindover;   run mount --bind /srv/x/source $units/x-bindover.service.d
item tmpfs
run mount -t tmpfs none $units/x-tmpfs.service.d
# Until the new mount has been noticed.
pause 1
printf "$text" >$units/x-tmpfs.service.d/b.conf
item movemount
# What is moved must not lie on a shared mount.
run mount --bind /srv/x/moved /srv/x/moved
run mount --make-private /srv/x/moved
mkdir /srv/x/moved/in
run mount -t tmpfs none /srv/x/moved/in
printf "$text" >/srv/x/moved/in/a.conf
run mount --move /srv/x/moved/in $units/x-movemount.service.d
item clonemount; doer clone_mount /srv/x/source $units/x-clonemount.service.d
item newmount;   doer new_mount $units/x-newmount.service.d
item loop
run mount -o loop /root/x/x-image $units/x-loop.service.d
# Until what it brings was looked at: the dead home is asked too.
pause 6
printf "$more" >>$units/x-loop.service.d/a.conf
item overlay
run mount -t overlay none -o lowerdir=/srv/x/lower,upperdir=$units,workdir=/etc/x-work /srv/x/merged
printf "$text" >/srv/x/merged/x-overlay.service
item overlayappend; printf "$more" >>/srv/x/merged/x-overlayappend.service
run umount /srv/x/merged

# --- places ---
put() { item "$1"; printf "$text" >"$2"; }
put dropin       $units/x-dropin.service.d/a.conf
item wants;      run ln -s ../x-create.service $units/x-wants.target.wants/x-wants.service
put etcuser      /etc/systemd/user/x-etcuser.service
put locallib     /usr/local/lib/systemd/system/x-locallib.service
put usrlib       /usr/lib/systemd/system/x-usrlib.service
put libuser      /usr/lib/systemd/user/x-libuser.service
put run          /run/systemd/system/x-run.service
put generator    /etc/systemd/system-generators/x-generator
put usergenerator /etc/systemd/user-generators/x-usergenerator
put envgenerator /etc/systemd/system-environment-generators/x-envgenerator
put preset       /etc/systemd/system-preset/x-preset.preset
put userpreset   /etc/systemd/user-preset/x-userpreset.preset
put config       /etc/systemd/system.conf.d/x-config.conf
put linger       /var/lib/systemd/linger/x-linger
put stamp        /var/lib/systemd/timers/stamp-x-stamp.timer
put userstamp    /home/alice/.local/share/systemd/timers/stamp-x-userstamp.timer
put capsule      /var/lib/capsules/x/.config/systemd/user/x-capsule.service
put sysext       /var/lib/extensions/x-sysext.raw
put confext      /var/lib/confexts/x-confext.raw
put roothome     /root/.config/systemd/user/x-roothome.service
put home         /home/alice/.config/systemd/user/x-home.service
put homedata     /home/alice/.local/share/systemd/user/x-homedata.service
item rclocal
printf "$note" >/etc/rc.local
pause 2
printf '# y\n' >>/etc/rc.local
item fstab
run mv /etc/x-fstab /etc/fstab
pause 2
printf '# y\n' >>/etc/fstab
item homewants;  run mkdir /home/alice/.config/systemd/user/x-homewants.target.wants
# Marks need a moment to follow a new directory.
pause 1.5
run ln -s ../x-home.service /home/alice/.config/systemd/user/x-homewants.target.wants/x-homewants.service

# --- what timed units rest on ---
item target;      printf 'true\n' >>/srv/x/x-target
item script;      printf 'true\n' >>/srv/x/x-script
item environment; printf 'B=1\n' >>/srv/x/x-environment

item missing;     printf '#!/bin/sh\ntrue\n' >/srv/x/x-missing/run
item inline;      printf 'true\n' >>/srv/x/x-inline
item relative;    printf 'true\n' >>/srv/x/x-relative
item parts;       printf '#!/bin/sh\ntrue\n' >/srv/x/x-parts/run
item repoint;     run ln -sfn two /srv/x/x-repoint/current
item swapdir
run mv /srv/x/x-swapdir/one /srv/x/x-swapdir/old
run mv /srv/x/x-swapdir/two /srv/x/x-swapdir/one
item overdir
run mount -t tmpfs none /srv/x/x-overdir
pause 2
printf '#!/bin/sh\ntrue\n' >/srv/x/x-overdir/run
# What was moved away is a target no more, by whatever name.
printf 'true\n' >>/srv/x/x-swapdir/old/run
printf 'true\n' >/srv/x/x-swapdir/old/new
pause 2

# --- a program that is named as managers are ---
run cp /bin/sh /srv/x/systemd
run /srv/x/systemd -c '/bin/echo child-of-none; :' >/dev/null

# --- places that come later ---
# Linked, and changed before a manager has read it; and after.
item linked
run systemctl link /dev/shm/x-linked.service
pause 1
printf "$more" >>/dev/shm/x-linked.service
item loaded
run systemctl link /dev/shm/x-loaded.service
run systemctl start x-loaded.service
pause 1.5
printf "$more" >>/dev/shm/x-loaded.service
item laterhome
run mkdir /srv/x-laterhome
run useradd --no-create-home --home-dir /srv/x-laterhome --uid 2002 x-laterhome
pause 4
run mkdir -p /srv/x-laterhome/.config/systemd/user
pause 2
printf "$text" >/srv/x-laterhome/.config/systemd/user/x-laterhome.service
item renamehome
run mv /home/x-renamehome/new /home/x-renamehome/.config
pause 2.5
printf "$more" >>/home/x-renamehome/.config/systemd/user/x-renamehome.service

item end
pause 2.5
mark end
# Who waits for it is not gone before it is.
kill "$dead"
umount --lazy /srv/x/dead
for sensor in "${sensors[@]}"; do
    read -ra stat <"/proc/$sensor/stat"
    echo "sensor $sensor: $((stat[13] + stat[14])) ticks of processor time"
    kill "$sensor"
    wait "$sensor" || fault "a sensor's status is $?"
done
exit $failed
