#!/usr/bin/env bash
# How long a run stands for a checkpoint, and how long it is written beside the steps: GPT-2 124M in f32, from the run's own trace.
# Usage: bench/checkpoint.sh [FOLDER]     STEPS=10 EVERY=4; the folder is on the disk to be measured, by default a temporary one
set -eu
cd "$(dirname "$0")/.."
nemocc=build/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
work=$(mktemp -d ${1:+-p "$1"})
trap 'rm -rf "$work"' EXIT
steps=${STEPS:-10} every=${EVERY:-4}
cat docs/*.md >"$work/text"
NEMOCC_TARGET=host NEMOCC_PRECISION=f32 NEMOCC_RECOMPUTE=selective $nemocc models/gpt2.nm --preset 124m -o "$work/train"
"$work/train" --data "$work/text" --micro-batch 4 --seq 64 --steps "$steps" --save "$work/ckpt" --save-every "$every" --keep 1 \
    --log-dir "$work/logs" --trace "$work/trace.json" --trace-steps "1-$steps" >/dev/null 2>&1
awk '
    /"ph": "X"/ && /checkpoint"/ {
        name = $0; sub(/.*"name": "/, "", name); sub(/".*/, "", name)
        at = $0; sub(/.*"ts": /, "", at); sub(/,.*/, "", at)
        for_us = $0; sub(/.*"dur": /, "", for_us); sub(/,.*/, "", for_us)
        what = name == "checkpoint" ? "written, beside the steps" : name == "copy for the checkpoint" ? "the run stands: copy" : "the run stands: wait for the one before"
        printf "%8.2f s  %-40s %8.3f s\n", at / 1e6, what, for_us / 1e6
    }' "$work/trace.json" | sort -n
printf 'milliseconds of steps:'
sed -E 's/.*"step_ms": ([0-9]+).*/ \1/' "$work/logs/metrics.jsonl" | tr -d '\n'
echo
