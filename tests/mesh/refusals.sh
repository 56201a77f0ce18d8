#!/usr/bin/env bash
# What cannot be is said before anything runs, in one line a mistake with the model's line, and the exit code is 2.
set -eu
. tests/mesh/lib.sh
build_model gpt2 t -D d=96 -D heads=12

refuses() { # refuses SENTENCE FLAGS...
    local sentence=$1 code=0
    shift
    "$work/t" --data "$work/text" --steps 1 --micro-batch 1 --global-batch 8 --seq 48 --threads 1 "$@" >"$work/out" 2>&1 || code=$?
    [ $code -eq 2 ] && grep -qxF "error: $sentence" "$work/out" || { echo "$*: code $code, not '$sentence'" && cat "$work/out" && return 1; }
}
refuses 'heads = 12 (models/gpt2.nm:2) is not divisible by --tp 8' --tp 8
refuses 'heads = 12 (models/gpt2.nm:2) is not divisible by --tp 8' --tp 8 --pp 2 --dry-run
refuses 'ff = 256 (models/gpt2.nm:2) is not divisible by --tp 3' --tp 3
refuses '--pp 5 is more stages than layers (models/gpt2.nm:2) = 4' --pp 5
refuses '--pp 2 x --vp 3 are more stages than layers (models/gpt2.nm:2) = 4' --pp 2 --vp 3
refuses '--vp 2 needs --pp: one stage is not interleaved with itself' --vp 2
refuses '--vp 2 needs the micro-batches of a step, 9, to be a multiple of --pp 2' --pp 2 --vp 2 --global-batch 9
refuses '6 ranks are not divisible by --tp 4 x --pp 1 x --cp 1 = 4' --tp 4 --nproc 6
refuses 'seq = 45 (models/gpt2.nm:3) is not divisible by --tp 2' --tp 2 --seq 45
refuses 'seq = 45 (models/gpt2.nm:3) is not divisible by --cp 2' --cp 2 --seq 45
refuses 'seq = 46 (models/gpt2.nm:3) is not divisible by 2 x --cp 2, as --cp-balance zigzag wants' --cp 2 --seq 46 --cp-balance zigzag
refuses '--zero takes 0, 1, 2 or 3, not 4' --dp 2 --zero 4
refuses "--global-batch 8 is not a multiple of --micro-batch 1 x dp 3" --dp 3
# several mistakes are several lines
refuses '--pp 5 is more stages than layers (models/gpt2.nm:2) = 4' --tp 8 --pp 5
grep -q 'heads = 12' "$work/out"

# ranks that would all do the same
nemocc models/lstm.nm --preset large -D vocab=256 -D d=64 -o "$work/t"
refuses '--cp 2: lstm has nothing to split over cp' --cp 2
refuses '--pp 2: lstm has nothing to split over stages' --pp 2
