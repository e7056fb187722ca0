#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is shipped for initrds: systemd-tmpfiles puts the log of the boot before where it stays, readable for root alone, and
# does nothing where there is none. The script for initramfs-tools runs in tests/system. Prints TAP.
cd "$(dirname "$0")/../.." || exit 2
conf=$PWD/dist/tmpfiles.d/mkexec.conf
script=dist/initramfs-tools/scripts/init-top/mkexec

n=0
failed=0
ok() { # description, text that must be empty
    n=$((n + 1))
    if [ -z "$2" ]; then
        echo "ok $n - $1"
    else
        failed=1
        echo "not ok $n - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

echo "1..3"
ok "the script for initramfs-tools has no prerequisites" "$(sh "$script" prereqs | tr -d '\n')"
if [ "$(id -u)" != 0 ] || ! command -v systemd-tmpfiles >/dev/null; then
    echo "ok 2 - tmpfiles # SKIP not root, or no systemd-tmpfiles"
    echo "ok 3 - tmpfiles # SKIP not root, or no systemd-tmpfiles"
    exit $failed
fi
root=$(mktemp -d) || exit 2
trap 'rm -rf "$root"' EXIT
mkdir "$root/etc" "$root/.mkexec"
echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo log >"$root/.mkexec/log"
ok "tmpfiles.d/mkexec.conf keeps the log" "$(systemd-tmpfiles --create --root="$root" "$conf" 2>&1
    cmp "$root/.mkexec/log" "$root/run/mkexec/carried.log" 2>&1
    [ "$(stat -c %a "$root/run/mkexec" "$root/run/mkexec/carried.log" | tr '\n' ' ')" = '700 400 ' ] || ls -laR "$root/run")"
rm -r "$root/.mkexec" "$root/run"
ok "it does nothing where there is none" "$(systemd-tmpfiles --create --root="$root" "$conf" 2>&1
    ls -A "$root/run/mkexec")"
exit $failed
