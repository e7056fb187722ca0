#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the overlay's code as a flat, position-independent blob and writes it as a C array.
# build-overlay.sh SOURCE_ROOT OUTPUT.h WORK_DIR CC...
set -eu
root=$1 output=$2 work=$3
shift 3
here=$root/shim/handover
flags="-std=gnu17 -Os -ffreestanding -fpie -fno-plt -fno-builtin
        -mgeneral-regs-only -mno-red-zone -fcf-protection=none -fno-stack-protector -fno-jump-tables
        -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-exceptions -fno-lto -U_FORTIFY_SOURCE
        -fno-sanitize=all -Wall -Wextra -Werror -I$root"
mkdir -p "$work"
# GCC would make calls to memcpy of our loops; clang knows no such option and needs none
if "$@" -fno-tree-loop-distribute-patterns -x c -c /dev/null -o "$work/probe.o" 2>/dev/null; then
        flags="$flags -fno-tree-loop-distribute-patterns"
fi
# shellcheck disable=SC2086
"$@" $flags -c "$here/overlay-code.c" -o "$work/overlay-code.o"
# shellcheck disable=SC2086
"$@" $flags -c "$here/overlay-stubs.S" -o "$work/overlay-stubs.o"
"$@" -nostdlib -pie -Wl,--no-dynamic-linker -Wl,-z,text -Wl,-z,norelro -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
        -Wl,-T,"$here/overlay.lds" -o "$work/overlay.elf" "$work/overlay-stubs.o" "$work/overlay-code.o"
# the linker script's assertions say the same; this is the second look
if readelf -rW "$work/overlay.elf" | grep -q R_X86_64; then
        echo "build-overlay.sh: the overlay's code has relocations" >&2
        exit 1
fi
objcopy -O binary -j .text "$work/overlay.elf" "$work/overlay.bin"
{
        echo "/* Made by shim/handover/build-overlay.sh from overlay-stubs.S and overlay-code.c. */"
        echo "static const unsigned char overlay_code[] = {"
        od -An -v -tx1 "$work/overlay.bin" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
        echo "};"
} >"$output.new"
mv "$output.new" "$output"
