#!/bin/sh
# Keeps the sources without their types in .cache/stripped, for load-stripped.mjs: what strips types in a running process takes 16 MB of
# its memory. Does nothing when no source is newer.
set -eu
cd "$(dirname "$0")/.."
rooms="api cli client compose controllers lib node-agent proto scheduler server"
stripped=.cache/stripped
isFresh() {
	# By the time of change, which copying a file with its times does not take back; folders, too: they alone tell of a file that is gone.
	# shellcheck disable=SC2086
	[ -e $stripped ] && [ -z "$(find $rooms setup/strip.* \( -name '*.ts' -o -name 'strip.*' -o -type d ! -name build \) \
		-cnewer $stripped -print -quit)" ]
}
if isFresh; then exit 0; fi
# Where nobody may write, types are stripped as it runs.
{ mkdir -p .cache && : >>$stripped.lock; } 2>/dev/null || exit 0
exec 9>$stripped.lock
flock 9
if isFresh; then exit 0; fi
for node in node_modules/node-linux-*/bin/node; do
	# shellcheck disable=SC2086
	[ -x "$node" ] && exec "$node" --disable-warning=ExperimentalWarning setup/strip.mjs $stripped $rooms
done
