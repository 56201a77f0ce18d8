#!/usr/bin/env bash
# GPT-2 124M on this machine's CPU, f32, forward + backward + AdamW: tokens/s and the share of the
# FMA peak that the binary measures at start. One row a sequence length; medians over the steps
# after the second. Usage: bench/cpu.sh [LENGTH ...]   (default 64 256 1024)
set -eu
cd "$(dirname "$0")/.."
nemocc=build/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
[ $# -gt 0 ] || set -- 64 256 1024
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
$nemocc models/gpt2.nm --preset 124m --target host -o "$work/train_bin"

median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
field() { tail -n +3 "$work/logs/metrics.jsonl" | sed -n "s/.*\"$1\": *\([0-9.e+-]*\).*/\1/p" | median; }

grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
printf '%6s %6s %12s %12s %12s\n' B T ms/step tokens/s 'of peak, %'
for t in "$@"; do
    rm -rf "$work/logs"
    "$work/train_bin" --data "$work/text" --steps "${STEPS:-8}" --micro-batch 4 --global-batch 4 --seq "$t" --log-dir "$work/logs" >/dev/null
    printf '%6d %6d %12.0f %12.1f %12.1f\n' 4 "$t" "$(field step_ms)" "$(field tokens_per_s)" "$(awk "BEGIN {print 100 * $(field mfu)}")"
done
