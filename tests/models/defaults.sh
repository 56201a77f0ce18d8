#!/usr/bin/env bash
# What nemocc makes when it is told nothing: a model without a mesh table for all targets, in both precisions, with all
# choices of --recompute. Each choice gives the same losses and weights, on stages too; a run goes on with another.
set -eu
. tests/models/lib.sh
unset NEMOCC_TARGET NEMOCC_PRECISION NEMOCC_RECOMPUTE
NEMOCC_PTXAS='' nemocc tests/models/gqa.nm -o "$work/gqa"
"$work/gqa" info >"$work/info"
grep -q -- '--recompute  *none selective full block:N auto$' "$work/info"
for code in 'host, in f32' 'host, in bf16' 'cuda, null, in f32' 'cuda, null, in bf16'; do
    grep -q "^code for $code" "$work/info"
done

train() { # train FOLDER FLAGS...
    rm -rf "${work:?}/$1"
    (run_in "$1" gqa --threads 1 "${@:2}") >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
}
for p in f32 bf16; do
    train "$p" --precision $p --steps 3
    for way in none selective full block:1 auto "full --pp 3 --micro-batch 1"; do
        # shellcheck disable=SC2086 # flags
        train other --precision $p --steps 3 --recompute $way
        if [[ $way = *pp* ]]; then
            close_to <(losses $p) <(losses other) 3 0.0001
        else
            same_run "$p" other
        fi
    done
    train begun --precision $p --steps 2 --recompute none
    train other --precision $p --steps 3 --recompute full --resume "$work/begun/ckpt/latest"
    diff <(tensors $p) <(tensors other)
done
! diff <(losses f32) <(losses bf16) >/dev/null || exit 1
train f32.again --steps 3
same_run f32 f32.again

"$work/gqa" --dry-run --micro-batch 2 --global-batch 4 --seq 48 | sed -n '/--recompute/,/^$/p' >"$work/table"
[ "$(awk 'NR > 2 && NF { sub(/^ \*/, ""); print $1 }' "$work/table" | xargs)" = 'none selective block:1 block:2 full' ]
"$work/gqa" --device null --steps 2 --micro-batch 2 --global-batch 4 --seq 48 --recompute full >"$work/said" 2>&1

# In fp8, with scales of earlier steps and layers in bf16, choices give the same bits, too; what scales otherwise is told.
nemocc tests/models/gqa.nm --target host --precision fp8 --fp8-recipe delayed --recompute selective,full -o "$work/gqa"
islands="--num-layers-at-start-in-bf16 1 --num-layers-at-end-in-bf16 1"
for layers in "" "$islands"; do
    # shellcheck disable=SC2086 # flags
    train fp8 --steps 3 $layers
    for way in full block:1 "full --pp 3 --micro-batch 1"; do
        # shellcheck disable=SC2086 # flags
        train other --steps 3 $layers --recompute $way
        close_to <(losses fp8) <(losses other) 3 0.0001
        [[ $way = *pp* ]] || same_run fp8 other
    done
done
"$work/gqa" eval --data "$work/text" --checkpoint "$work/fp8/ckpt/latest" --samples 4 --seq 48 >"$work/said" 2>&1
grep -q 'note: --fp8-recipe delayed is of training: this scales by what it reads' "$work/said"

# A choice that was not compiled, and layers that have none, are told.
refused() { ! "$work/gqa" --dry-run --recompute "$1" >"$work/said" 2>&1; }
nemocc tests/models/gqa.nm --target host --precision f32 --recompute selective -o "$work/gqa"
refused full
grep -q 'recompute full: this binary was compiled for selective alone; compile it with nemocc --recompute none,sel' "$work/said"
nemocc tests/models/gqa.nm --target host --precision f32 --disable-pass=recompute -o "$work/gqa"
refused block:1
grep -q 'recompute block:N: this binary was compiled without the pass recompute' "$work/said"
