#!/usr/bin/env bash
# Layers of several kinds on the stages of a pipeline: turns of two layers and one that is left over, whose parameters
# are rows of one tensor. One rank's losses on every mesh, and its checkpoint goes on from theirs.
set -eu
. tests/mesh/lib.sh
build_model gemma2 t -D layers=5 --fix cp=1 --fix dp=1
run() { # run STEPS FLAGS
    "$work/t" --data "$work/text" --micro-batch 1 --global-batch 4 --seq 48 --warmup 2 --threads 1 --save "$work/ckpt" \
        --log-dir "$work/logs" --steps "$@" >"$work/out" 2>&1
}
losses_of() { # losses_of STEPS FLAGS
    rm -rf "$work/logs"
    run "$@" || { cat "$work/out" >&2 && return 1; }
    sed -n 's/.*"loss": *\([^,}]*\).*/\1/p' "$work/logs/metrics.jsonl"
}
same() { # same LOSSES NAME: as one rank's
    close_to "$work/one" <(echo "$1") 4 1e-6 || { echo "in $2" && return 1; }
}
losses_of 4 >"$work/one"
for mesh in "--pp 2" "--pp 3" "--tp 2 --pp 2"; do
    rm -rf "$work/ckpt"
    same "$(losses_of 4 $mesh)" "$mesh"
done
rm -rf "$work/ckpt"
same "$(losses_of 2 --pp 2 && losses_of 4 --resume auto)" "two steps of --pp 2, then one rank"
eval_of() { "$work/t" eval --checkpoint "$work/ckpt" --data "$work/text" --seq 48 --threads 1 --json "$@" 2>/dev/null; }
[ -n "$(eval_of)" ]
for mesh in "--pp 2" "--pp 3" "--tp 2 --pp 2"; do
    close_to <(eval_of | grep -o '"loss": [0-9.]*' | cut -d' ' -f2) <(eval_of $mesh | grep -o '"loss": [0-9.]*' | cut -d' ' -f2) 1 1e-6 || { echo "eval $mesh" && exit 1; }
done
code=0
run 1 --pp 4 || code=$?
[ $code -eq 2 ]
grep -qxF 'error: --pp 4 is more stages than turns of layers (models/gemma2.nm:22) = 3' "$work/out"

# What is rounded of them once a step lies by turns, too.
build_model gemma2 b -D layers=5 --fix cp=1 --fix dp=1 --fix tp=1 --precision bf16
bits_of() { # bits_of FLAGS: of weights and moments
    rm -rf "$work/ckpt"
    "$work/b" --data "$work/text" --micro-batch 1 --global-batch 4 --seq 48 --warmup 1 --threads 1 --save "$work/ckpt" --steps 2 \
        "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2 && return 1; }
    grep '"path"' "$work/ckpt/latest/index.json"
}
for mesh in "--pp 1" "--pp 2"; do
    bits_of --keep-rounded-weights off $mesh >"$work/off"
    bits_of --keep-rounded-weights on --check-memory $mesh >"$work/on"
    cmp "$work/off" "$work/on" || { echo "kept, $mesh" && exit 1; }
done

# plan counts turns, too: what it proposes is accepted
rows=0
while read -r tp pp vp _ _ _ _ micro _; do
    rows=$((rows + 1))
    "$work/t" --dry-run --threads 1 --global-batch 12 --seq 48 --tp "$tp" --pp "$pp" --vp "$vp" --micro-batch "$micro" >"$work/out" 2>&1 ||
        { cat "$work/out" && exit 1; }
done < <(for gpus in 1 2 3 4 6; do "$work/t" plan --gpus $gpus --global-batch 12 --seq 48; done | awk '$1 ~ /^[0-9]+$/ && NF > 15')
[ $rows -eq 7 ] || { echo "$rows meshes" && exit 1; }
