#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Rewrites instruction-vectors.def from instruction-vectors.s: bytes and text are gas's and objdump's.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
as --64 -o "$object" instruction-vectors.s
{
        echo "/* SPDX-License-Identifier: LGPL-2.1-or-later */"
        echo "/* Made by instruction-vectors.sh from instruction-vectors.s; don't edit. */"
        for section in privileged emulated unprivileged others; do
                objdump -d -w --section="$section" "$object" | awk -F '\t' -v kind="$section" '
                        NF >= 3 {
                                n = split($2, byte, " ")
                                bytes = ""
                                for (i = 1; i <= n; i++)
                                        bytes = bytes "\\x" byte[i]
                                text = $3
                                sub(/ *#.*/, "", text)
                                sub(/ +$/, "", text)
                                gsub(/ +/, " ", text)
                                printf "VECTOR(%s, \"%s\", %d, \"%s\")\n", kind, bytes, n, text
                        }'
        done
} > instruction-vectors.def
