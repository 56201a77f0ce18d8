#!/usr/bin/env bash
# The tiny presets train: the loss falls, the same seed gives the same bits on any number of threads and
# with every buffer in memory of its own, and the binary needs libc alone.
set -eu
. tests/models/lib.sh
for model in gpt2 llama3 phi3; do
    compile models/$model.nm tiny $model
    [ "$(stat -c %s "$work/$model")" -lt $((8 << 20)) ]
    ! ldd "$work/$model" | grep -vE 'linux-vdso|libc\.so|libm\.so|ld-linux' || exit 1
    (run_in $model.1 $model --steps 40 --threads 1) >/dev/null
    (run_in $model.2 $model --steps 40 --threads 2) >/dev/null
    (run_in $model.3 $model --steps 40 --threads 2 --check-memory) >/dev/null
    same_run $model.1 $model.2
    same_run $model.1 $model.3
    rows $model.1 | awk -F'[:,]' -v model=$model '{loss[NR] = $4} END {
        printf "%s: loss %s to %s\n", model, loss[1], loss[NR]; exit !(loss[1] > 5.3 && loss[1] < 5.8 && loss[NR] < 3.8)}'
    "$work/$model" generate --checkpoint "$work/$model.1/ckpt" --prompt "The " --max-tokens 40 --seed 1 >"$work/said.1"
    "$work/$model" generate --checkpoint "$work/$model.2/ckpt" --prompt "The " --max-tokens 40 --seed 1 --threads 1 >"$work/said.2"
    cmp "$work/said.1" "$work/said.2"
done
