#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# At the initrd's end, and before anybody gets a shell in an emergency: key files that are left are erased, tickets that are left are
# locked until the TPM's next reset.
@SBINDIR@/mkexec-ticket lock --directory /run/cryptsetup-keys.d || :
