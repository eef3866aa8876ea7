. /scenario/lib.sh

# What systemd itself makes of generated inputs, for tests/tests/vm/answers.rs to compare with.
here=/scenario/30-answers/generated
out=$WHODUNIT_OUT

# A root whose unit files are only listed: those whose names are valid.
names=/var/tmp/names/etc/systemd/system
mkdir -p $names
while IFS= read -r name; do
    : >"$names/$name"
done <$here/names
systemctl --root=/var/tmp/names list-unit-files --no-legend --no-pager --full --plain >$out/answers.names

mapfile -t words <$here/escapes
systemd-escape --unescape -- "${words[@]}" >$out/answers.escapes

systemd-analyze unit-paths >$out/answers.paths

# Units, drop-ins and aliases in three directories of the load path.
cp -a $here/tree/etc/. /etc/systemd/system/
mkdir -p /run/systemd/system
cp -a $here/tree/run/. /run/systemd/system/
cp -a $here/tree/usr/. /usr/lib/systemd/system/
systemctl daemon-reload
mapfile -t units <$here/units
systemctl show --no-pager -p Id -p LoadState -p FragmentPath -p DropInPaths -p Description -p ExecStart \
    -- "${units[@]}" >$out/answers.show
rm -r /etc/systemd/system/answers* /run/systemd/system/answers* /usr/lib/systemd/system/answers*
systemctl daemon-reload
echo asked
