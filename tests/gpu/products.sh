#!/usr/bin/env bash
# All products of the language models are calls of a library, on every mesh: the table of products has a row for each
# group of a dot. The optimizers' and losses' kernels are no business of this test.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() { # model, preset, precision, products at least
    local rows dots
    nemocc "models/$1.nm" --preset "$2" --precision "$3" --target null --emit=nmir -o "$scratch/$1.$3"
    nemocc "models/$1.nm" --preset "$2" --precision "$3" --target null --emit=llvm -o "$scratch/text"
    dots=$(grep -c '= group .*{kind = dot}' "$scratch/$1.$3")
    rows=$(sed -n 's/^@products = .*constant \[\([0-9]*\) x.*/\1/p' "$scratch/text")
    echo "$1 in $3: $dots products, ${rows:-0} of them calls"
    [[ "$dots" -ge "$4" && "${rows:-0}" -eq "$dots" ]]
}

check gpt2 tiny f32 200
check gpt2 tiny bf16 200
check llama3 tiny f32 200

# What stands behind each product of a GPT-2's step, on one rank: the ops of its group, casts aside, and how many results it has.
epilogues() {
    awk -v precision="$1" '
        /^func / { on = $2 ~ /^@train\.micro\..*\.one$/; name = $2 }
        on && /= group .*\{kind = dot\}/ { text = ""; inside = 1; split($0, side, " = group "); n = gsub(/%/, "%", side[1]) }
        on && inside && $3 != "cast" && $3 != "const" && $2 == "=" && $3 != "group" { text = text " " $3 }
        inside && $1 == "ret" { print precision, name text " -> " n; inside = 0 }' "$scratch/gpt2.$1"
}
{ epilogues f32 && epilogues bf16; } >"$scratch/epilogues"
diff tests/gpu/epilogues.golden "$scratch/epilogues"

# Plain products: none has an epilogue, which is the last but one of a row's numbers.
told() { sed -n 's/^@products = //p' "$scratch/text" | grep -oE 'i64 [0-9]+, double' | sort -u; }
nemocc models/gpt2.nm --preset tiny --precision bf16 --target null --fix tp=1 --fix cp=1 --fix pp=1 --emit=llvm -o "$scratch/text"
[ "$(told | wc -l)" -gt 1 ]
nemocc models/gpt2.nm --preset tiny --precision bf16 --target null --plain-products --fix tp=1 --fix cp=1 --fix pp=1 --emit=llvm -o "$scratch/text"
[ "$(told)" = "i64 0, double" ]
