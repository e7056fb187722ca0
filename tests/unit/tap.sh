# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# TAP for the scripts of this folder, which source it from the tree's top and end with "exit $failed".

n=0
failed=0

ok() { # description, text that must be empty: what is wrong
    n=$((n + 1))
    if [ -z "$2" ]; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

refused() { # description, text that must not be empty: what a forged twin was told
    ok "$1" "$([ -n "$2" ] || echo 'it was accepted')"
}

skip() { # description, reason
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}
