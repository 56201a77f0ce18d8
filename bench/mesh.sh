#!/usr/bin/env bash
# What a mesh costs on one machine: GPT-2 124M, two ranks of one thread each against one process of two threads, in turns
# in one run; and what the general text costs against one compiled for its mesh (--fix). Medians over steps.
# Usage: bench/mesh.sh [B T]   (default 4 256)
set -eu
cd "$(dirname "$0")/.."
nemocc=${BUILD:-build}/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
b=${1:-4} t=${2:-256}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
$nemocc models/gpt2.nm --preset 124m -o "$work/any"
$nemocc models/gpt2.nm --preset 124m --fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1 -o "$work/fixed"

median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
run() { # run NAME PROGRAM FLAGS...: its steps join the others of the name
    local name=$1 program=$work/$2
    shift 2
    rm -rf "$work/logs"
    "$program" --data "$work/text" --steps "${STEPS:-6}" --global-batch "$b" --seq "$t" --log-dir "$work/logs" "$@" >/dev/null
    tail -n +3 "$work/logs/metrics.jsonl" | sed -n 's/.*"tokens_per_s": *\([0-9.e+-]*\).*/\1/p' >>"$work/$name.rates"
}
for round in 1 2; do
    run one any --micro-batch "$b"
    run tp any --micro-batch "$b" --tp 2 --threads 1
    run dp any --micro-batch $((b / 2)) --dp 2 --threads 1
    run fixed fixed --micro-batch "$b"
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
printf '%-28s %10s %10s\n' "GPT-2 124M, B=$b T=$t" tokens/s ratio
one=$(median <"$work/one.rates")
for name in one tp dp fixed; do
    printf '%-28s %10.1f %10.3f\n' "$name" "$(median <"$work/$name.rates")" "$(awk "BEGIN {print $(median <"$work/$name.rates") / $one}")"
done
