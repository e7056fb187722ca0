#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# base < eventlog < tcg2 < policy < shim: each layer includes only what stands left of it (docs/architecture.md); and guest
# memory is reached through shim/machine/ram.h only. Prints TAP. The twins show that the checks can fail.
cd "$(dirname "$0")/../.." || exit 2
. tests/unit/tap.sh

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

echo "1..9"
ok "base/ includes base/ only" "$(offences base 'base')"
ok "eventlog/ includes base/ and eventlog/ only" "$(offences eventlog 'base|eventlog')"
ok "tcg2/ stays left of policy/" "$(offences tcg2 'base|eventlog|tcg2')"
ok "policy/ stays left of shim/" "$(offences policy 'base|eventlog|tcg2|policy')"
ok "shim/machine/ knows base/ and itself only" "$(offences shim/machine 'base|shim/machine')"
ok "shim/firmware/ doesn't know policy/ or handover/" \
        "$(offences shim/firmware 'base|eventlog|tcg2|shim/machine|shim/firmware')"
twin=$(mktemp -d) || exit 2
printf '#include "shim/firmware/firmware.h"\n' >"$twin/bad.c"
refused "a forbidden include" "$(offences "$twin" 'base')"
ok "guest memory is reached through shim/machine/ram.h only" \
        "$(ways_past . 'shim/machine/ram\.[ch]|shim/machine/vcpu-ptrace\.c|tests/.*')"
printf 'void *p = mmap(NULL, 1, 1, 1, ram_fd(ram), 0);\n' >"$twin/bad.c"
refused "a way past it" "$(ways_past "$twin" 'none')"
rm -r "$twin"
exit $failed
