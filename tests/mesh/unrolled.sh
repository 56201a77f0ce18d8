#!/usr/bin/env bash
# ZeRO-3 of layers that are unrolled: a rank never holds all parameters, in no part of a step (12 layers of 9 MiB), and
# trains as one rank does.
set -eu
. tests/mesh/lib.sh
nemocc tests/mesh/unrolled.nm -o "$work/u"

"$work/u" --data "$work/text" --micro-batch 1 --seq 16 --dp 4 --zero 3 --dry-run >"$work/plan"
awk '$1 == "activations" {n = $2} END {exit !(n > 0 && n < 60 * 2 ^ 20)}' "$work/plan" || { cat "$work/plan" && exit 1; }

go() { # go FOLDER FLAGS...: three steps
    local folder=$work/$1
    shift
    "$work/u" --data "$work/text" --micro-batch 1 --global-batch 4 --seq 16 --lr 0.1 --steps 3 --log-dir "$folder/logs" "$@" >"$work/out" 2>&1 ||
        { cat "$work/out" && return 1; }
}
go one --threads 2
go mesh --dp 2 --zero 3 --threads 1
close_to <(losses one) <(losses mesh) 3 1e-6
