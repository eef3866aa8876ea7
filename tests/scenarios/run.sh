#!/bin/bash
# Runs every scenario in order and notes when each began and ended, in seconds since boot.
set -u
cd "$(dirname "$0")" || exit 1
. ./lib.sh

mark() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "$1 $2 $uptime" >>"$WHODUNIT_OUT/marks"
}

failed=0
for scenario in [0-9][0-9]-*/; do
    name=${scenario%/}
    echo "== $name"
    mark begin "$name"
    bash "$name/do.sh" || { echo "failed: $name: $?"; failed=1; }
    mark end "$name"
done
exit $failed
