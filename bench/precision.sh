#!/usr/bin/env bash
# Curves of f32, bf16 and fp8 in all its recipes from the same weights and data: 300 steps of small models on the King James
# Bible. A row says the mean losses of 50 steps each, and how far the worst mean lies above or below that of f32. The bounds,
# which the end of this script checks: bf16 stays within 0.2 % of f32 in every 50 steps, fp8 within 1 %.
# Usage: bench/precision.sh [MODEL ...]   (default gpt2 llama3; STEPS=300 THREADS=1)
set -eu
cd "$(dirname "$0")/.."
nemocc=build/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
[ $# -gt 0 ] || set -- gpt2 llama3
recipes=$($nemocc --help | sed -n 's/^ *--fp8-recipe A,B *\(.*\): where.*/\1/p' | tr -d ' ' | tr '|' ' ')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"

means() { sed -n 's/.*"loss": *\([0-9.e+-]*\).*/\1/p' "$work/$1/metrics.jsonl" | awk '{ sum += $1 } NR % 50 == 0 { printf "%.4f ", sum / 50; sum = 0 }'; }

run() { # name, flags
    local name=$1
    shift
    "$work/train_bin" --data "$work/text" --steps "${STEPS:-300}" --micro-batch 8 --global-batch 8 --seq 64 --lr 1e-3 --warmup 30 \
        --threads "${THREADS:-1}" --log-dir "$work/$name" "$@" >"$work/said" || { cat "$work/said" >&2 && exit 1; }
}

row() { # model, name, bound in per cent: a row of the table; past the bound it ends with an exclamation mark
    echo "$(means f32)| $(means "$2")" | awk -v model="$1" -v name="$2" -v bound="$3" '
        { n = (NF - 1) / 2
          for (i = 1; i <= n; i++) {
              d = 100 * ($(n + 1 + i) / $i - 1)
              if (d * d > worst * worst) worst = d
              means = means sprintf(" %7.4f", $(n + 1 + i))
          }
          printf "%-8s %-14s%s %+8.2f %%%s\n", model, name, means, worst, (worst * worst > bound * bound ? " !" : "") }'
}

for model in "$@"; do
    $nemocc "models/$model.nm" --preset tiny --target host --precision f32,bf16,fp8 --fp8-recipe "${recipes// /,}" -o "$work/train_bin"
    run f32 --precision f32
    row "$model" f32 0
    run bf16 --precision bf16
    row "$model" bf16 0.2
    for recipe in $recipes; do
        run "fp8.$recipe" --precision fp8 --fp8-recipe "$recipe"
        row "$model" "fp8.$recipe" 1
    done
done | tee "$work/table"
! grep -q '!$' "$work/table"
