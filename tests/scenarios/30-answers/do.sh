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
# One at a time: thousands of changes at once are more than a slow machine's agent takes.
mkdir -p /run/systemd/system
for entry in $here/tree/etc/*; do cp -a "$entry" /etc/systemd/system/; done
for entry in $here/tree/run/*; do cp -a "$entry" /run/systemd/system/; done
for entry in $here/tree/usr/*; do cp -a "$entry" /usr/lib/systemd/system/; done
systemctl daemon-reload
mapfile -t units <$here/units
systemctl show --no-pager -p Id -p LoadState -p FragmentPath -p DropInPaths -p Description -p ExecStart \
    -- "${units[@]}" >$out/answers.show

# Odd files: what is left of them, and which lines are passed over.
for entry in $here/odd-tree/*; do cp -a "$entry" /etc/systemd/system/; done
systemctl daemon-reload
mapfile -t units <$here/odd
systemctl show --no-pager -p Id -p LoadState -p Description -p ExecStart -- "${units[@]}" >$out/answers.odd
systemd-analyze verify --man=no --recursive-errors=no /etc/systemd/system/oddfile-*.service \
    >$out/answers.verify 2>&1 || true

# Settings, presets and environment in every place for them.
(cd $here/conf-tree && find . -type d -exec mkdir -p /{} \; -o -print0) >/var/tmp/conf-files
while IFS= read -rd '' file; do cp "$here/conf-tree/$file" "/$file"; done </var/tmp/conf-files
for what in systemd/system.conf systemd/user.conf systemd/system-preset systemd/user-preset environment.d; do
    systemd-analyze cat-config $what
done >$out/answers.config
(cd / && xargs -0 rm </var/tmp/conf-files)

rm -r /etc/systemd/system/answers* /etc/systemd/system/oddfile* /run/systemd/system/answers* /usr/lib/systemd/system/answers*
systemctl daemon-reload
echo asked
