#!/usr/bin/env bash
# plan, of a program written by hand: what is searched, what flags keep, what is refused and how.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units_checked

plan() { "$units" plan --gpus 16 --global-batch 64 "$@"; }
rows() { grep -cE '^ +[0-9]+ +[0-9]+ ' "$1"; }
plan >"$work/all"
plan >"$work/again"
cmp "$work/all" "$work/again"
[ "$(rows "$work/all")" -eq 10 ]
# every row is a mesh of 16, faster first, no mesh twice
plan --json | sed -n 's/.*"tp": \([0-9]*\), "pp": \([0-9]*\), "vp": \([0-9]*\), "cp": \([0-9]*\), "dp": \([0-9]*\),.*"micro_batch": \([0-9]*\),.*"step_seconds": \([^,]*\),.*/\1 \2 \3 \4 \5 \6 \7/p' |
    awk '{ if ($1 * $2 * $4 * $5 != 16 || 64 % ($5 * $6) || seen[$1, $2, $3, $4]++ || $7 < last) exit 1
           last = $7; n++ }
         END { exit n != 10 }'
# a flag that is given is kept; the rest is searched
plan --tp 2 --pp 4 --zero 1 --micro-batch 2 --json >"$work/kept"
grep -q '"tp": 2, "pp": 4, ' "$work/kept"
[ "$(grep -c '"tp": 2, "pp": 4, .*"zero": 1, "micro_batch": 2, ' "$work/kept")" -eq "$(grep -c '"tp"' "$work/kept")" ]
# what a step is made of is the step, what a GPU holds is the total
sed -n 's/.*"compute": \([^,]*\), "tp": \([^,]*\), "cp": \([^,]*\), "pp": \([^,]*\), "dp": \([^,]*\), "bubble": \([^}]*\)}, "step_seconds": \([^,]*\),.*/\1 \2 \3 \4 \5 \6 \7/p' "$work/kept" |
    awk '{ d = $1 + $2 + $3 + $4 + $5 + $6 - $7; if (d < 0) d = -d; if (!(d < 1e-9 * $7)) exit 1; n++ } END { exit !n }'
# f32 holds what --dry-run says, and the reserve
total() { sed -n 's/.*"total": \([0-9]*\)},.*/\1/p' | head -1; }
reserve=$(plan --json | sed -n 's/.*"reserve": \([0-9]*\),.*/\1/p' | head -1)
dry=$("$units" --dry-run --threads 1 --tp 2 --pp 4 --cp 2 --dp 1 --micro-batch 2 --global-batch 64 | sed -n 's/^  total *\([0-9]*\) .*/\1/p')
f32=$(plan --tp 2 --pp 4 --vp 1 --cp 2 --micro-batch 2 --recompute selective --precision f32 --json | total)
[ "$f32" -eq $((dry + reserve)) ]
bf16=$(plan --tp 2 --pp 4 --vp 1 --cp 2 --micro-batch 2 --json | total)
[ "$bf16" -lt "$f32" ]
[ "$(rows <(plan --top 3))" -eq 3 ]
# recomputation: as little as fits, unless it is given; what is again costs time, and is none of the model's work
mesh() { plan --tp 2 --pp 4 --vp 1 --cp 1 --zero 1 --micro-batch 4 --json "$@"; }
gib() { awk -v bytes="$1" 'BEGIN {printf "%.12f", (bytes + 1) / 1024 ^ 3}'; }
chosen() { sed -n 's/.*"recompute": "\([^"]*\)".*/\1/p'; }
none=$(mesh --recompute none | total) block=$(mesh --recompute block:3 | total) full=$(mesh --recompute full | total)
[[ "$none" -gt "$block" && "$block" -gt "$full" ]]
[ "$(mesh | chosen)" = none ]
[ "$(mesh --memory-limit "$(gib "$block")" | chosen)" = block:3 ]
[ "$(mesh --memory-limit "$(gib "$full")" | chosen)" = full ]
for way in none full; do
    mesh --recompute $way | sed -n 's/.*"compute": \([^,]*\),.*"step_seconds": \([^,]*\),.*"mfu": \([^}]*\)}.*/\1 \2 \3/p'
done | awk '{compute[NR] = $1; model[NR] = $2 * $3} END {d = model[1] / model[2] - 1; exit !(compute[2] > 1.2 * compute[1] && d * d < 1e-12)}'
expect 'a GPU needs at least' mesh --recompute none --memory-limit "$(gib "$full")"
expect 'not compared with any measurement' "$units" plan --gpus 2 --global-batch 8 --gpu b200

expect '--gpus N is missing' "$units" plan --global-batch 64
expect '--global-batch N is missing' "$units" plan --gpus 4
expect 'plan prices --precision bf16 or f32, not fp8' "$units" plan --gpus 4 --global-batch 64 --precision fp8
expect '--gpu takes h100.*, not .v100' plan --gpu v100
expect 'no mesh of --gpus 16 holds units: a GPU needs at least 2.0 GiB' plan --memory-limit 2
expect 'tp x pp x cp x dp has to be --gpus' plan --tp 3
expect '--pp 64 is more stages than ' plan --pp 64 --gpus 64
expect '--vp 2 needs the micro-batches of a step, 1, to be' plan --pp 2 --vp 2 --dp 1 --micro-batch 64
expect '--gpus 2000000 is more than' "$units" plan --gpus 2000000 --global-batch 64
expect 'compiled for one rank, not for 4' "$fake" plan --gpus 4 --global-batch 8
expect 'seq = 100 is above its maximum 64' "$fake" plan --gpus 1 --global-batch 8 --seq 100
expect '^fake tiny on 1 h100' "$fake" plan --gpus 1 --global-batch 8
if plan --tp 3 2>/dev/null; then exit 1; fi
