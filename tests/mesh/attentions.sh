#!/usr/bin/env bash
# A decoder with two attentions, whose roped keys lie in memory otherwise than its heads: one rank's losses on every
# mesh. (Once, the one-rank text read the second attention's keys as if they were contiguous.)
set -eu
. tests/mesh/lib.sh
nemocc tests/models/two_attentions.nm --preset b -D heads=8 -o "$work/two"
first() { # the losses of two steps
    rm -rf "$work/logs"
    "$work/two" --data "$work/text" --micro-batch 1 --global-batch 4 --seq 48 --steps 2 --warmup 2 --threads 1 --log-dir "$work/logs" "$@" >/dev/null
    sed -n 's/.*"loss": *\([^,}]*\).*/\1/p' "$work/logs/metrics.jsonl"
}
first >"$work/one"
for mesh in "--dp 2" "--tp 2" "--cp 2 --pp 2 --zero 3"; do
    close_to "$work/one" <(first $mesh) 2 1e-5 || { echo "in $mesh" && exit 1; }
done
