#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The event log that the boot before left in a hand-over by kexec_file_load goes where it survives the switch to the real root.
if [ -e /.mkexec/log ]; then
    (umask 077 && mkdir -p /run/mkexec && cat /.mkexec/log >/run/mkexec/carried.log)
fi
