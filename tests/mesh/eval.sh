#!/usr/bin/env bash
# An evaluation takes every sample on every mesh: the loss of a checkpoint is one number, also where dp does not divide the
# samples, or is more than there are. What cannot be evaluated is said before the first step.
set -eu
. tests/mesh/lib.sh
build_model gpt2 gpt2
build_model llama3 llama3
head -c $((10 * 48 + 1)) "$work/text" >"$work/ten"
head -c $((2 * 48 + 1)) "$work/text" >"$work/two"

evaluate() { # evaluate MODEL DATA FLAGS...: the loss
    local model=$1 data=$2
    shift 2
    "$work/$model" eval --checkpoint "$work/$model.ckpt" --data "$work/$data" --seq 48 --threads 1 --check-memory "$@" >"$work/out" 2>&1 ||
        { cat "$work/out" && return 1; }
    sed -n 's/^loss //p' "$work/out"
}
same() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 0 && d <= 1e-5 * a) }'; }

for model in gpt2 llama3; do
    "$work/$model" --data "$work/text" --seq 48 --threads 1 --steps 2 --save "$work/$model.ckpt" >/dev/null 2>&1
    for data in ten two; do
        one=$(evaluate $model $data --micro-batch 10)
        while read -r mesh; do
            got=$(evaluate $model $data $mesh)
            same "$one" "$got" || { echo "$model, $data, $mesh: $got, not $one" && cat "$work/out" && exit 1; }
        done <<'MESHES'
--micro-batch 1 --dp 4
--micro-batch 2 --dp 4 --zero 3
--micro-batch 3 --dp 2 --pp 2 --zero 2
--micro-batch 1 --dp 3 --tp 2
MESHES
    done
done

# a step without --global-batch depends on dp, which is said; with it, it does not
note='note: a step is 16 samples, --micro-batch x dp: give --global-batch for the same steps on every mesh'
step() { "$work/gpt2" --data "$work/text" --seq 48 --threads 1 --steps 1 --dp 4 "$@" >"$work/out" 2>&1; }
step
grep -qxF "$note" "$work/out"
step --global-batch 16
! grep -q 'note: a step' "$work/out" || exit 1

# in a run, too, and with fewer samples than ranks
for dp in 1 4; do
    "$work/gpt2" --data "$work/text" --seq 48 --threads 1 --steps 2 --micro-batch $((4 / dp)) --dp $dp --eval-data "$work/two" \
        --eval-every 1 --log-dir "$work/logs.$dp" >/dev/null 2>&1
done
loss() { sed -n 's/.*"eval_loss": \([^,}]*\).*/\1/p' "$work/logs.$1/metrics.jsonl" | sed -n "$2p"; }
for step in 1 2; do same "$(loss 1 $step)" "$(loss 4 $step)"; done

# a byte that is no token, in a sample that one rank alone would have read
build_model gpt2 small -D vocab=200
{ head -c 400 "$work/ten" && printf '\377' && cat "$work/ten"; } >"$work/odd"
code=0
"$work/small" --data "$work/text" --seq 48 --threads 1 --steps 2 --dp 2 --eval-data "$work/odd" >"$work/out" 2>&1 || code=$?
[ $code -eq 2 ] && grep -q 'odd: byte 255 at offset 400, of sample [0-9]*, is not below vocab = 200' "$work/out" && ! grep -q 'loss' "$work/out" ||
    { echo "code $code" && cat "$work/out" && exit 1; }
