#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs test-tpm ($1) against a fresh swtpm ($2: banks that are active, 4 or 1; the plan is test-tpm's).
set -eu

program=$(realpath "$1")
banks=${2:-4}
if ! command -v swtpm >/dev/null || ! command -v tpm2_pcrread >/dev/null; then
        echo "1..0 # SKIP needs swtpm and tpm2-tools"
        exit 0
fi
directory=$(mktemp -d)
pid=
finish() {
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || :
        rm -rf "$directory"
}
trap finish EXIT
cd "$directory"
mkdir state

start() {
        swtpm socket --tpm2 --tpmstate dir=state --server type=unixio,path=sock \
                --ctrl type=unixio,path=sock.ctrl --flags not-need-init,startup-clear \
                >swtpm.log 2>&1 &
        pid=$!
        tries=0
        while [ ! -S sock ] && [ $tries -lt 100 ]; do
                sleep 0.05
                tries=$((tries + 1))
        done
}

export TPM2TOOLS_TCTI="swtpm:path=$directory/sock"
start
if [ "$banks" = 1 ]; then
        tpm2_pcrallocate -Q sha1:none+sha256:all+sha384:none+sha512:none
        tpm2_shutdown -c
        kill "$pid"
        wait "$pid" 2>/dev/null || :
        rm -f sock sock.ctrl
        start
fi
export SWTPM_PID="$pid"
# may fail: the trap must still run
"$program" "$banks" && result=0 || result=$?
exit "$result"
