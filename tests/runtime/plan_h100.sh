#!/usr/bin/env bash
# What NVIDIA publishes for H100 (NeMo 25.09, model_configs_h100.csv, bf16) is found to fit, within 10 % of
# the best that plan knows. docs/plan.md has the figures.
set -eu
. tests/runtime/lib.sh

seconds() { sed -n 's/.*"step_seconds": \([^,]*\),.*/\1/p' | head -1; }
# published PRESET GPUS GLOBAL_BATCH MESH FLAGS...: theirs is feasible and near our best
published() {
    local preset=$1 gpus=$2 batch=$3 best theirs
    shift 3
    nemocc models/llama3.nm --preset "$preset" -o "$work/$preset"
    best=$("$work/$preset" plan --gpus "$gpus" --gpu h100 --global-batch "$batch" --seq 8192 --top 1 --json | seconds)
    theirs=$("$work/$preset" plan --gpus "$gpus" --gpu h100 --global-batch "$batch" --seq 8192 --top 1 --json "$@" | seconds)
    awk -v best="$best" -v theirs="$theirs" 'BEGIN { exit !(best > 0 && theirs >= best && theirs <= 1.1 * best) }' ||
        { echo "$preset on $gpus: best $best s, published $theirs s"; return 1; }
}
published 8b 8 128 --tp 1 --pp 1 --vp 1 --cp 2 --zero 1 --micro-batch 1
published 70b 64 128 --tp 4 --pp 4 --vp 5 --cp 2 --zero 1 --micro-batch 1
published 405b 1024 512 --tp 8 --pp 8 --vp 8 --cp 2 --zero 1 --micro-batch 1
