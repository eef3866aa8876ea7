#!/bin/bash
# Starts units in every way systemd knows, and notes in $WHODUNIT_OUT/truth what started each.
#
# What is in overlay/ was there before the boot.
set -eu
cd "$(dirname "$0")"
. ./lib.sh
for part in boot timers users others many; do
    echo "== $part"
    . "./$part.sh"
done
# The last verdicts.
pause 3
exit $failed
