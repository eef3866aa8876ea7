. /scenario/lib.sh

dir=/etc/systemd/system
mkdir $dir/full.service.d
echo '[Service]' >$dir/full.service.d/x.conf
! rmdir $dir/full.service.d
! mkdir $dir/full.service.d
! ln $dir/full.service.d/x.conf $dir/full.service.d/x.conf
! setpriv --reuid=1000 --clear-groups bash -c "echo x >$dir/denied.service"
! setpriv --reuid=1000 --clear-groups rm -f $dir/full.service.d/x.conf
# What is done after all ends the list.
rm -r $dir/full.service.d
