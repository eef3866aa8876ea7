#!/bin/bash
# Becomes the first process of a container: the host's files below an overlay, and a timer of its own.
set -e
mkdir -p /run/box
mount -t tmpfs tmpfs /run/box
mkdir /run/box/{upper,work,root}
cd /run/box
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
printf '[Unit]\nWants=box.timer\n' >etc/systemd/system/box.target
printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/boxed\n' \
    >etc/systemd/system/box.service
printf '[Unit]\nDefaultDependencies=no\n[Timer]\nAccuracySec=100ms\nOnActiveSec=1\nOnUnitActiveSec=1\n' \
    >etc/systemd/system/box.timer
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount --bind "$1" tmp
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev
cp -a /dev/{null,zero,full,random,urandom,tty} dev/
exec chroot . env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=box.target
