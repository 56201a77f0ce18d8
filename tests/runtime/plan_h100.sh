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
# over cp both ways are priced: a ring sends more, and never holds more
ways() { "$work/8b" plan --gpus 8 --gpu h100 --global-batch 128 --seq 8192 --tp 1 --pp 1 --cp 4 --zero 2 --micro-batch 1 "$@"; }
both_ways() {
    local way
    for way in ring gather; do
        ways --cp-comm $way --json | sed -n "s/.*\"cp_comm\": \"$way\".*\"work\": \([0-9]*\),.*\"cp\": \([^,]*\), \"pp\".*/\1 \2/p"
    done | awk '{ work[NR] = $1; cp[NR] = $2 }
        END { exit !(NR == 2 && work[1] <= work[2] && cp[2] > 0 && cp[1] > cp[2] && cp[1] < 3 * cp[2]) }' &&
        [ "$(ways | grep -cE '^ +1 +1 +1 +4 +(ring|gather) ')" -eq 2 ]
}
published 8b 8 128 --tp 1 --pp 1 --vp 1 --cp 2 --zero 1 --micro-batch 1
both_ways || { ways && exit 1; }
published 70b 64 128 --tp 4 --pp 4 --vp 5 --cp 2 --zero 1 --micro-batch 1
published 405b 1024 512 --tp 8 --pp 8 --vp 8 --cp 2 --zero 1 --micro-batch 1
