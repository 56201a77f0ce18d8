#!/usr/bin/env bash
# A mixture of experts trains: the loss is the same on every mesh, and it and each gradient are those of a Mixtral written down
# a second time (bench/moe_reference.py), where there is numpy. On the emulator; on processors: tests/codegen/models.sh has GPT-OSS.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -f tests/text.awk >"$work/text"
nemocc models/mixtral.nm -D vocab=128 -D d=16 -D heads=4 -D kv=2 -D hd=4 -D ff=24 -D experts=4 -D layers=2 \
    --target emu --precision f32 -o "$work/mixtral" 2>"$work/said" || { cat "$work/said"; exit 1; }
grep -q 'warning: this loss is not a sum of means over batch' "$work/said"

loss() { # loss FLAGS...: of the last of six steps
    "$work/mixtral" --device emu --data "$work/text" --steps 6 --seq 16 --global-batch 4 --lr 1e-2 --lr-schedule constant --warmup 1 "$@" 2>&1 |
        sed -n 's/^done at step 6 .* loss //p'
}
one=$(loss --micro-batch 4)
awk -v one="$one" 'BEGIN { exit !(one > 0 && one < 4.8) }' || { echo "FAIL: the loss is $one at the end"; exit 1; }
for flags in "--micro-batch 2 --dp 2 --zero 3" "--micro-batch 4 --tp 2" "--micro-batch 4 --cp 2" "--micro-batch 4 --pp 2"; do
    # shellcheck disable=SC2086
    have=$(loss $flags)
    awk -v a="$one" -v b="$have" 'BEGIN { d = a - b; exit !(b > 0 && d < 1e-3 && d > -1e-3) }' || { echo "FAIL: $flags: $have, not $one"; exit 1; }
done
python3 -c 'import numpy' 2>/dev/null || { echo "no numpy: gradients are not compared" && exit 0; }
python3 bench/moe_reference.py "$work/mixtral" --device emu
