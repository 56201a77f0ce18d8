#!/usr/bin/env bash
# The memory that a run holds is what --dry-run says, to 5 %: a step, a checkpoint's copy, a run that goes on from one,
# an evaluation of it, with its logits in a file.
set -eu
. tests/models/lib.sh
nemocc models/gpt2.nm --preset tiny -D d=512 -D ff=2048 -D vocab=24576 -o "$work/program"
flags=(--data "$work/text" --micro-batch 2 --seq 64)
within() { # within NAME VERB FLAGS...: the peak of a run, and the plan of the same
    local name=$1 verb=$2 plan peak
    shift 2
    plan=$("$work/program" "$verb" "${flags[@]}" "$@" --dry-run 2>/dev/null | awk '$1 == "total" { print $2 }')
    peak=$(build/tests/tools/peak "$work/program" "$verb" "${flags[@]}" "$@" 2>/dev/null)
    awk -v name="$name" -v plan="$plan" -v peak="$peak" 'BEGIN {
        off = peak / plan - 1
        printf "%s: %d MiB planned, %d MiB held, %+.1f %%\n", name, plan / 2 ^ 20, peak / 2 ^ 20, 100 * off
        exit !(off > -0.05 && off < 0.05) }'
}
within train train --steps 2
within evaluates train --steps 2 --eval-data "$work/text" --eval-every 1 --eval-samples 2
within saves train --steps 2 --save "$work/ckpt" --save-every 1 --keep 1
within resumes train --steps 4 --save "$work/ckpt" --resume auto
within eval eval --checkpoint "$work/ckpt" --samples 4
within logits eval --checkpoint "$work/ckpt" --samples 4 --dump-logits "$work/logits"
