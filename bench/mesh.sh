#!/usr/bin/env bash
# What a mesh costs on one machine: GPT-2 124M, two ranks of one thread each against one process of two threads; and
# what the general text costs against one compiled for its mesh (--fix). All four run in turns, ROUNDS times; a ratio is
# of a program's steps to those of `one` in the same round, and the line is the median of rounds. `level` is what equal
# work with a meeting every 15 ms reaches on this machine (bench/level.c), in the same rounds.
# Usage: bench/mesh.sh [B T]   (default 4 256)
set -eu
cd "$(dirname "$0")/.."
nemocc=${BUILD:-build}/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
b=${1:-4} t=${2:-256}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
$nemocc models/gpt2.nm --preset 124m --target host -o "$work/any"
$nemocc models/gpt2.nm --preset 124m --target host --fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1 -o "$work/fixed"
${CC:-clang-22} -O2 -march=native -o "$work/level" bench/level.c -lpthread

median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
run() { # run NAME PROGRAM FLAGS...: the rate of its steps but the first, and of the round
    local name=$1 program=$work/$2 rate
    shift 2
    rm -rf "$work/logs"
    "$program" --data "$work/text" --steps "${STEPS:-6}" --warmup 1 --global-batch "$b" --seq "$t" --log-dir "$work/logs" "$@" >/dev/null
    rate=$(tail -n +2 "$work/logs/metrics.jsonl" | sed -n 's/.*"tokens_per_s": *\([0-9.e+-]*\).*/\1/p' | median)
    [ "$name" != one ] || one=$rate
    echo "$rate" >>"$work/$name.rates"
    awk "BEGIN {print $rate / $one}" >>"$work/$name.ratios"
}
for round in $(seq "${ROUNDS:-5}"); do
    run one any --micro-batch "$b"
    run tp any --micro-batch "$b" --tp 2 --threads 1
    run dp any --micro-batch $((b / 2)) --dp 2 --threads 1
    run fixed fixed --micro-batch "$b"
    "$work/level" 2 >>"$work/level.ratios"
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
printf '%-28s %10s %7s  %s\n' "GPT-2 124M, B=$b T=$t" tokens/s ratio "of each round"
for name in one tp dp fixed level; do
    rate=$([ $name = level ] || median <"$work/$name.rates")
    printf '%-28s %10.6s %7.3f  %s\n' $name "$rate" "$(median <"$work/$name.ratios")" "$(xargs -n1 printf '%.2f ' <"$work/$name.ratios")"
done
