#!/usr/bin/env bash
# ctc_loss, std.nm's own extern op (models/kernels/ctc.c), trained with: the loss is the same on one rank, on meshes and on the emulator.
# Its numbers are tests/ir/library.nmir's, its gradient tests/grads_test.c's, its kernels tests/codegen/externs.nmir's.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -f tests/text.awk >"$work/text"
nemocc --target host,emu --precision f32 tests/models/ctc.nm -o "$work/ctc"

loss() { # loss FLAGS...: of the last of ten steps
    "$work/ctc" --data "$work/text" --steps 10 --seq 24 --global-batch 4 --lr 3e-2 --lr-schedule constant "$@" 2>&1 |
        sed -n 's/^done at step 10 .* loss //p'
}
one=$(loss --micro-batch 4)
awk -v one="$one" 'BEGIN { exit !(one > 0 && one < 50) }' || { echo "FAIL: the loss is $one at the end"; exit 1; }
for flags in "--micro-batch 2 --dp 2 --zero 2" "--micro-batch 2 --tp 2" "--micro-batch 4 --cp 2" "--micro-batch 1" "--micro-batch 4 --device emu"; do
    # shellcheck disable=SC2086
    have=$(loss $flags)
    awk -v a="$one" -v b="$have" 'BEGIN { d = a - b; exit !(d < 2e-3 && d > -2e-3) }' || { echo "FAIL: $flags: $have, not $one"; exit 1; }
done
