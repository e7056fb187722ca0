#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each ticket that is ready becomes /run/cryptsetup-keys.d/NAME.key, which crypttab names as NAME's key file. Drivers are loaded by now,
# and cryptroot-ask comes after this one in the same queue. Once is enough.
if [ ! -e /tmp/mkexec-tickets ]; then
    : >/tmp/mkexec-tickets
    @SBINDIR@/mkexec-ticket get --all --directory /run/cryptsetup-keys.d --wait 5 || :
fi
