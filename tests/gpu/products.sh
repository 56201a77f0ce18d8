#!/usr/bin/env bash
# All products of the language models are calls of a library, on every mesh: the table of products has a row for each
# dot of the plan. The optimizers' and losses' kernels are no business of this test.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() { # model, preset, precision, products at least
    local rows dots
    nemocc "models/$1.nm" --preset "$2" --precision "$3" --target null --emit=plan -o "$scratch/plan"
    nemocc "models/$1.nm" --preset "$2" --precision "$3" --target null --emit=llvm -o "$scratch/text"
    dots=$(grep -cE '^ +[0-9]+ dot ' "$scratch/plan")
    rows=$(sed -n 's/^@products = .*constant \[\([0-9]*\) x.*/\1/p' "$scratch/text")
    echo "$1 in $3: $dots products, ${rows:-0} of them calls"
    [ "$dots" -ge "$4" ] && [ "${rows:-0}" -eq "$dots" ]
}

check gpt2 tiny f32 200
check gpt2 tiny bf16 200
check llama3 tiny f32 200
