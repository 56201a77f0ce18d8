#!/usr/bin/env bash
# Tables that cut what others leave whole: `d` over dp, the dim that rope takes apart over tp, so that sums over a
# whole dim stand beside sums over a part of it. First-step gradients of every parameter and losses are one rank's, also
# where memory is poisoned between calls.
set -eu
. tests/mesh/lib.sh
sed 's/^mesh .*/mesh { dp: batch d  tp: ff hd seq }/' tests/passes/tables_rope.nm >"$work/table.nm"
nemocc "$work/table.nm" -D vocab=256 -D d=32 -o "$work/table"
train table one --micro-batch 8
train table tp --micro-batch 8 --tp 2 --check-memory
train table both --micro-batch 4 --dp 2 --tp 2
same_numbers tp one
same_numbers both one
