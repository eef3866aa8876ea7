. /scenario/lib.sh

dir=/etc/systemd/system
text='[Service]\nExecStart=/bin/true\n'

# As a package manager does.
printf "$text" >$dir/moved.service.dpkg-new
mv $dir/moved.service.dpkg-new $dir/moved.service

# From a file that was written where nobody looks.
printf "$text" >/etc/innocent
ln /etc/innocent $dir/hard.service

# Two files that change places.
printf "$text" >$dir/left.service
printf "$text" >$dir/right.service
# renameat2(AT_FDCWD, left, AT_FDCWD, right, RENAME_EXCHANGE), by its number on x86-64.
perl -e 'syscall(316, -100, $ARGV[0], -100, $ARGV[1], 2) == 0 or die $!' \
    $dir/left.service $dir/right.service

# A whole directory at once.
mkdir /etc/staged.d
printf "$text" >/etc/staged.d/x.conf
mv /etc/staged.d $dir/moved.service.d
