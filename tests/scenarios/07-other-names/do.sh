. /scenario/lib.sh

text='[Service]\nExecStart=/bin/true\n'

# The directory by another name: a bind mount elsewhere.
mkdir -p /tmp/elsewhere
mount --bind /etc/systemd/system /tmp/elsewhere
printf "$text" >/tmp/elsewhere/bound.service
umount /tmp/elsewhere

# By a process's root, a relative path, and a link to the directory.
printf "$text" >/proc/self/root/etc/systemd/system/rooted.service
(cd /etc && printf "$text" >./systemd/../systemd/system/relative.service)
ln -s /etc/systemd/system /tmp/farm
printf "$text" >/tmp/farm/farmed.service

# In a mount namespace of its own.
unshare --mount bash -c 'mount --bind /etc/systemd/system /mnt; echo "[Unit]" >/mnt/private.service'
