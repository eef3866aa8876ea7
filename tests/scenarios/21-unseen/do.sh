. /scenario/lib.sh

# A unit is changed below the file system: no file is opened for writing, no time is set.
unit=/etc/systemd/system/raw.service
printf '[Service]\nType=oneshot\nExecStart=/bin/echo aaaa\n' >$unit
systemctl daemon-reload
systemctl start raw.service
sync
python3 - $unit <<'PYTHON'
import fcntl, os, struct, sys
path = sys.argv[1]
file = os.open(path, os.O_RDONLY)
size = os.fstat(file).st_size
block_size = os.statvfs(path).f_bsize
block, = struct.unpack("i", fcntl.ioctl(file, 1, struct.pack("i", 0)))  # FIBMAP
number = os.fstat(file).st_dev
os.close(file)
open("/proc/sys/vm/drop_caches", "w").write("3")
device = "/dev/block/%d:%d" % (os.major(number), os.minor(number))
disk = os.open(device, os.O_RDWR | os.O_SYNC)
offset = block * block_size
before = os.pread(disk, size, offset)
after = before.replace(b"aaaa", b"bbbb")
assert before != after, before
os.pwrite(disk, after, offset)
os.fsync(disk)
os.close(disk)
open("/proc/sys/vm/drop_caches", "w").write("3")
PYTHON
grep -q bbbb $unit
systemctl daemon-reload
systemctl start raw.service
wait_until 30 grep -q '"verb":"load","class":"unit-file","path":"/etc/systemd/system/raw.service"' "$WHODUNIT_EVENTS"

# A file that was there before and is loaded again is nothing new.
systemctl start raw.service
