#!/usr/bin/env bash
# Calls of kernels that a test writes for a machine with a GPU run, and are right, on the emulator; a wrong result is told.
set -eu
build=${NEMOCC_BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
NEMOCC_PTXAS='' NEMOCC_CASES=$work/ops "$build/tests/ops_gpu_test"
"$build/tests/tools/kernels" emu "$work/ops-0.so" | grep -E '^([0-9]+) of \1 calls are right$'
printf '\x07\x07\x07\x07\x07\x07\x08\x40' | dd of="$work/ops-0.cases" bs=1 seek=$(($(stat -c %s "$work/ops-0.cases") - 8)) conv=notrunc status=none
! "$build/tests/tools/kernels" emu "$work/ops-0.so" >"$work/out" || exit 1
grep -q 'the interpreter says 3\.' "$work/out"
