#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# For dracut: tickets in the initrd, with systemd in it or without.

# called by dracut
check() {
    require_binaries @SBINDIR@/mkexec-ticket || return 1
    return 0
}

# called by dracut
depends() {
    return 0
}

# called by dracut
installkernel() {
    hostonly='' instmods '=drivers/char/tpm'
}

# called by dracut
install() {
    local conf=${dracutsysrootdir-}/etc/mkexec/tickets.conf dropin

    inst_multiple @SBINDIR@/mkexec-ticket
    # Where tickets lie. The owner's password isn't for an initrd: without it tickets are read and locked, but stay defined.
    if [[ -e $conf ]]; then
        mkdir -p "$initdir/etc/mkexec"
        sed '/^[[:space:]]*owner-auth[[:space:]]*=/d' "$conf" >"$initdir/etc/mkexec/tickets.conf"
    fi
    # In an emergency dracut's shell comes by these, with systemd and without.
    inst_hook emergency 01 "$moddir/mkexec-lock.sh"
    inst_hook shutdown-emergency 01 "$moddir/mkexec-lock.sh"
    if dracut_module_included systemd; then
        inst_script @LIBDIR@/cryptsetup-attach
        inst_simple @DATADIR@/tmpfiles.d/mkexec.conf "$tmpfilesdir/mkexec.conf"
        inst_simple @UNITDIR@/mkexec-tickets.service "$systemdsystemunitdir/mkexec-tickets.service"
        inst_simple @UNITDIR@/mkexec-tickets-lock.service "$systemdsystemunitdir/mkexec-tickets-lock.service"
        inst_simple @DATADIR@/systemd/mkexec-cryptsetup.conf "$systemdsystemunitdir/systemd-cryptsetup@.service.d/mkexec.conf"
        for dropin in "${dracutsysrootdir-}@UNITDIR@"/systemd-*.d/mkexec.conf; do
            dropin=${dropin#"${dracutsysrootdir-}@UNITDIR@/"}
            inst_simple "@UNITDIR@/$dropin" "$systemdsystemunitdir/$dropin"
        done
        $SYSTEMCTL -q --root "$initdir" enable mkexec-tickets.service mkexec-tickets-lock.service
    else
        inst_hook pre-trigger 10 "$moddir/mkexec-log.sh"
        inst_hook initqueue/settled 10 "$moddir/mkexec-get.sh"
        inst_hook cleanup 99 "$moddir/mkexec-lock.sh"
    fi
}
