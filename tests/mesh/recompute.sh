#!/usr/bin/env bash
# What backward computes again is no part of what a run computes: every --recompute gives the bits of the default, in a model
# with dropout, on stages, chunks of stages and shards, when gradients are reduced once a step or in each micro-batch; and a
# run goes on with another.
set -eu
. tests/mesh/lib.sh
build_model gpt2 t --recompute none,selective,full
run() { # run FOLDER FLAGS...
    local folder=$work/$1
    shift
    rm -rf "$folder"
    "$work/${program:-t}" --data "$work/text" --global-batch 8 --seq 32 --lr 2e-3 --warmup 2 --threads 1 --steps 3 --log-dir "$folder" \
        --save "$folder/ckpt" "$@" >"$work/out" 2>&1 || { cat "$work/out" && return 1; }
}
bits() { # of losses, gradient norms, weights and moments
    sed -E 's/, "(tokens_per_s|step_ms|mfu|comm_wait_s)": [^,}]*//g' "$work/$1/metrics.jsonl"
    grep '"path"' "$work/$1/ckpt/step-000003/index.json"
}
while read -r mesh; do
    run default $mesh
    for way in none full block:1; do
        run other --check-memory --recompute $way $mesh
        cmp <(bits default) <(bits other) || { echo "$mesh --recompute $way" && exit 1; }
    done
done <<'MESHES'
--micro-batch 4
--pp 2 --vp 2 --micro-batch 2
--tp 2 --dp 2 --zero 1 --micro-batch 2
--pp 2 --dp 2 --zero 3 --micro-batch 1
MESHES
run other --pp 2 --dp 2 --zero 3 --micro-batch 1 --recompute full --steps 2
"$work/t" --data "$work/text" --threads 1 --pp 2 --dp 2 --zero 3 --recompute block:1 --resume auto --save "$work/other/ckpt" --steps 3 \
    --log-dir "$work/other" >"$work/out" 2>&1 || { cat "$work/out" && exit 1; }
cmp <(bits default) <(bits other)

# On a GPU, where a library does products and adds biases; gpt2's gelus are kernels.
for model in llama3 gpt2; do
    build_model $model emu --target emu --precision f32 --recompute none,selective,full -D layers=2
    program=emu run default --device emu --micro-batch 4
    for way in none full block:1; do
        program=emu run other --device emu --micro-batch 4 --recompute $way
        cmp <(bits default) <(bits other) || { echo "$model on emu --recompute $way" && exit 1; }
    done
done

# less is kept and more is computed again, in this order; auto takes the first that fits
"$work/t" --dry-run --threads 1 --global-batch 8 --seq 256 --pp 2 --recompute auto --memory-limit 0.0264 >"$work/out"
sed -n '/--recompute/,/^$/p' "$work/out" | sed 's/^ \*/  /' | awk '
    NR > 2 && NF {
        if ($3 != "MiB" || $5 != "MiB" || (rows && ($2 >= memory || $4 >= saved || again > $(NF - 1)))) exit 1
        memory = $2; saved = $4; again = $(NF - 1); rows++ }
    END { exit rows != 4 || !(again > 20 && again < 40) }' || { cat "$work/out" && exit 1; }
grep -q '^ \* block:1 ' "$work/out"
