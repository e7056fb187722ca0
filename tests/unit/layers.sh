#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# base < eventlog < tcg2 < policy < shim: each layer includes only what stands left of it (docs/architecture.md); and guest
# memory is reached through shim/machine/ram.h only. Prints TAP. The twins show that the checks can fail.
cd "$(dirname "$0")/../.." || exit 2

# A layer's forbidden includes, one line each "file:line:include".
offences() { # folder, allowed layers as an alternation
        grep -rnE '^#include "' --include='*.c' --include='*.h' "$1" |
                grep -vE "#include \"($2)/"
}

# Ways to the guest's memory past the checked accessor: its file, its process, its registers' memory.
ways_past() { # folder, files that may
        grep -rnE '\bram_fd\(|process_vm_(readv|writev)|PTRACE_(PEEK|POKE)(TEXT|DATA|USER)|/proc/(%d|%u|self)/(mem|map_files)|pidfd_getfd' \
                --include='*.c' --include='*.h' "$1" | grep -vE "^(\./)?($2):"
}

n=0
failed=0
verdict() { # description, text of offences
        n=$((n + 1))
        if [ -z "$2" ]; then
                echo "ok $n - $1"
        else
                failed=1
                echo "not ok $n - $1"
                echo "$2" | sed 's/^/# /'
        fi
}

echo "1..9"
verdict "base/ includes base/ only" "$(offences base 'base')"
verdict "eventlog/ includes base/ and eventlog/ only" "$(offences eventlog 'base|eventlog')"
verdict "tcg2/ stays left of policy/" "$(offences tcg2 'base|eventlog|tcg2')"
verdict "policy/ stays left of shim/" "$(offences policy 'base|eventlog|tcg2|policy')"
verdict "shim/machine/ knows base/ and itself only" "$(offences shim/machine 'base|shim/machine')"
verdict "shim/firmware/ doesn't know policy/ or handover/" \
        "$(offences shim/firmware 'base|eventlog|tcg2|shim/machine|shim/firmware')"
twin=$(mktemp -d) || exit 2
printf '#include "shim/firmware/firmware.h"\n' >"$twin/bad.c"
if [ -n "$(offences "$twin" 'base')" ]; then twin_result=""; else twin_result="a forbidden include passed"; fi
verdict "the check sees a forbidden include" "$twin_result"
verdict "guest memory is reached through shim/machine/ram.h only" \
        "$(ways_past . 'shim/machine/ram\.[ch]|shim/machine/vcpu-ptrace\.c|tests/.*')"
printf 'void *p = mmap(NULL, 1, 1, 1, ram_fd(ram), 0);\n' >"$twin/bad.c"
if [ -n "$(ways_past "$twin" 'none')" ]; then twin_result=""; else twin_result="a way past passed"; fi
rm -r "$twin"
verdict "the check sees a way past it" "$twin_result"
exit $failed
