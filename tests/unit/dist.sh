#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is shipped for initrds: systemd-tmpfiles puts the log of the boot before where it stays, readable for root alone, and
# does nothing where there is none; scripts are sh, and cryptsetup-attach calls what it should. The scripts run in tests/system, too,
# the keyscript in tests/integration. Prints TAP.
cd "$(dirname "$0")/../.." || exit 2
conf=$PWD/dist/tmpfiles.d/mkexec.conf
script=dist/initramfs-tools/scripts/init-top/mkexec

. tests/unit/tap.sh

echo "1..20"
ok "the script for initramfs-tools has no prerequisites" "$(sh "$script" prereqs | tr -d '\n')"

# ---- syntax ----

scripts=(dist/initrd/keyscript dist/initrd/cryptsetup-attach dist/initramfs-tools/hooks/mkexec dist/initramfs-tools/scripts/*/mkexec
    dist/dracut/90mkexec/mkexec-*.sh dist/system-shutdown/mkexec)
ok "scripts are sh" "$(for file in "${scripts[@]}"; do sh -n "$file" 2>&1; done; bash -n dist/dracut/90mkexec/module-setup.sh 2>&1)"
if command -v shellcheck >/dev/null; then
    ok "shellcheck has nothing to say about them" "$(shellcheck -s sh -e SC1091 "${scripts[@]}"
        shellcheck -s bash -e SC1091,SC2154 dist/dracut/90mkexec/module-setup.sh)"
else
    skip "shellcheck" "it isn't here"
fi
ok "every file in dist/ is installed" "$(comm -3 <(cd dist && find . -type f ! -name meson.build -printf '%P\n' | sort) \
    <(grep -oE "'(initrd|initramfs-tools|dracut|systemd|system-shutdown|tmpfiles.d|keylime)/[^']+' ?[:,]" dist/meson.build | cut -d"'" -f2 | sort))"

# ---- cryptsetup-attach ----

place=$(mktemp -d) || exit 2
trap 'rm -rf "$place"' EXIT
mkdir "$place/keys" "$place/units"
printf '#!/bin/sh\nprintf "%%s|" "$@"\n' >"$place/systemd-cryptsetup"
chmod +x "$place/systemd-cryptsetup"
unit() { # NAME, key file, options: what systemd-cryptsetup-generator writes
    printf "[Service]\nType=oneshot\nExecStart=%s attach '%s' '/dev/disk/by-uuid/1' '%s' '%s'\nExecStop=%s detach '%s'\n" \
        "$place/systemd-cryptsetup" "$1" "$2" "$3" "$place/systemd-cryptsetup" "$1" >"$place/units/systemd-cryptsetup@$1.service"
}
attach() { # NAME
    MKEXEC_KEYS_DIR=$place/keys MKEXEC_GENERATOR_DIR=$place/units sh dist/initrd/cryptsetup-attach "$1" "systemd-cryptsetup@$1.service" 2>&1
}
is() { # description, text, wanted
    ok "$1" "$([ "$2" = "$3" ] || printf 'is        %s\nshould be %s\n' "$2" "$3")"
}
key=$place/keys/root.key
: >"$key"
unit root '' ''
is "a key that isn't a ticket's isn't touched: no list" "$(attach root)" ""
echo data >"$place/keys/.mkexec-keys"
is "another's list" "$(attach root)" ""
echo root >>"$place/keys/.mkexec-keys"
rm "$key"
is "no key" "$(attach root)" ""
: >"$key"
is "an entry without options" "$(attach root)" "attach|root|/dev/disk/by-uuid/1|$key|keyfile-erase,headless=yes,tries=1|"
unit root /etc/keys/root.key 'luks,tpm2-device=auto,tpm2-pcrs=7+11,tpm2-measure-pcr=yes,discard,token-timeout=5,keyfile-offset=3,tries=5,x-initrd.attach'
is "TPM, tokens and another key file are left out, the rest stays" "$(attach root)" \
    "attach|root|/dev/disk/by-uuid/1|$key|luks,tpm2-measure-pcr=yes,discard,x-initrd.attach,keyfile-erase,headless=yes,tries=1|"
is "after a hop by kexec_file_load nothing is measured" "$(MKEXEC_CARRIED_LOG=$key attach root)" \
    "attach|root|/dev/disk/by-uuid/1|$key|luks,discard,x-initrd.attach,keyfile-erase,headless=yes,tries=1|"
rm "$place/units"/*
is "a unit that isn't the generator's is left alone, with a word" "$(attach root)" \
    "mkexec: can't tell how systemd-cryptsetup@root.service opens 'root': its key is left to systemd-cryptsetup"

# ---- system-shutdown ----

mkdir "$place/run" "$place/bin"
printf '#!/bin/sh\nprintf "%%s|" "$@"\n' >"$place/bin/mkexec"
chmod +x "$place/bin/mkexec"
sed "s,@SBINDIR@,$place/bin,; 1d" dist/system-shutdown/mkexec >"$place/hook"
hook() { # version of systemd ("": no systemctl), what comes next
    rm -f "$place/bin/systemctl"
    [ -z "$1" ] || printf '#!/bin/sh\necho "systemd %s (%s.1-1)"\necho +PAM' "$1" "$1" >"$place/bin/systemctl"
    [ -z "$1" ] || chmod +x "$place/bin/systemctl"
    PATH=$place/bin MKEXEC_RUN_DIR=$place/run "$(command -v sh)" "$place/hook" "$2" 2>&1
}
is "nothing is loaded: nothing is done" "$(hook 252 kexec; hook 255 kexec; hook 252 reboot)" ""
: >"$place/run/state.json"
is "a kexec before systemd 255" "$(hook 254 kexec)" "exec|--at-shutdown|--verbose|"
is "a kexec that may be a reboot" "$(hook 255 kexec)" "exec|--at-shutdown|--only-armed|--verbose|"
is "a systemd that doesn't tell its version" "$(hook '' kexec)" "exec|--at-shutdown|--only-armed|--verbose|"
is "a reboot, a power-off" "$(hook 252 reboot; hook 257 poweroff)" "unload|unload|"

# ---- tmpfiles and units ----

if command -v systemd-analyze >/dev/null && systemd-analyze --version | head -1 | grep -q 'systemd 2[5-9]'; then
    for file in dist/systemd/*.service; do
        sed 's,@SBINDIR@/[a-z-]*,/bin/true,' "$file" >"$place/${file##*/}"
    done
    # shellcheck disable=SC2046
    ok "the drop-ins' conditions hold where no hop was, and the opposite doesn't" "$(for file in dist/systemd/held-back*.conf; do
        systemd-analyze condition $(grep ^Condition "$file") >/dev/null 2>&1 || echo "$file"
        ! systemd-analyze condition $(grep ^Condition "$file" | tr -d '!') >/dev/null 2>&1 || echo "$file: the opposite holds, too"
    done)"
    ok "systemd-analyze has nothing to say about the units" "$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$place"/*.service 2>&1 |
        grep mkexec)"
else
    skip "conditions of the drop-ins" "no systemd-analyze"
    skip "systemd-analyze" "it isn't here"
fi
if [ "$(id -u)" != 0 ] || ! command -v systemd-tmpfiles >/dev/null; then
    skip tmpfiles "not root, or no systemd-tmpfiles"
    skip tmpfiles "not root, or no systemd-tmpfiles"
    exit $failed
fi
root=$place/root
mkdir "$root" "$root/etc" "$root/.mkexec"
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
