#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes one object of an archive's, hides all of its names but those of eventlog/mkexec/eventlog.h, and puts it into an
# archive of its own. Usage: archive.sh FROM TO FOLDER CC...
set -e
from=$1 to=$2 folder=$3
shift 3
mkdir -p "$folder"
"$@" -r -nostdlib -o "$folder/mkexec-eventlog.o" -Wl,--whole-archive "$from" -Wl,--no-whole-archive
objcopy --wildcard --keep-global-symbol='mkexec_*' "$folder/mkexec-eventlog.o"
rm -f "$to"
ar rcD "$to" "$folder/mkexec-eventlog.o"
