#!/usr/bin/env bash
# Weights as transformers writes them (tests/fixtures/hf.py): of gpt2, phi3 and llama3, tied and in shards, in f32, f16
# and bf16, the loss is transformers', and an export of an import has the same names and bytes of tensors.
set -eu
fixtures=$PWD/tests/fixtures/hf models=$PWD/models
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
printf 'The quick brown fox jumps over a!' >text

fail() {
    echo "$1"
    exit 1
}

compile() { # model $1 for the weights $2
    nemocc "$models/$1.nm" --hf-config "$fixtures/$2/config.json" -o "$2"
}

check() { # the weights $1
    ./"$1" eval --init "hf:$fixtures/$1" --data text --seq 32 --json >found 2>note
    grep -q '^note' note && fail "$1: an import that needs no note: $(cat note)"
    awk -v want="$(cat "$fixtures/$1.loss")" -F'[:,]' '{ d = $2 / want - 1; exit !(d < 2e-6 && d > -2e-6) }' found ||
        fail "$1: $(cat found), transformers says $(cat "$fixtures/$1.loss")"
    ./"$1" export --init "hf:$fixtures/$1" --out "out-$1" >/dev/null
    cmp "out-$1/config.json" "$fixtures/$1/config.json" # nothing differs, so no byte does
    ./"$1" export --init "hf:out-$1" --out "again-$1" --max-shard-size 20KB >/dev/null
    tensors "$fixtures/$1" >there
    tensors "again-$1" >here
    cmp there here || fail "$1: an export of an import differs"
    ./"$1" import --init "hf:$fixtures/$1" --save "ckpt-$1" --pp 2 >/dev/null
    ./"$1" export --checkpoint "ckpt-$1" --out "after-$1" >/dev/null
    cmp "after-$1/config.json" "$fixtures/$1/config.json"
    tensors "after-$1" | cmp there - || fail "$1: an export of an import's checkpoint differs"
}

# Each tensor's name, dtype, shape and the sum of its bytes.
tensors() { # the folder $1
    for file in "$1"/*.safetensors; do
        local length header
        length=$(od -An -tu8 -N8 "$file" | tr -d ' ')
        header=$(tail -c +9 "$file" | head -c "$length")
        grep -oE '"[^"]+": ?\{"dtype":"[A-Z0-9]+","shape":\[[0-9,]*\],"data_offsets":\[[0-9,]+\]' <<<"$header" |
            sed -E 's/^"([^"]+)": ?\{"dtype":"([A-Z0-9]+)","shape":\[([0-9,]*)\],"data_offsets":\[([0-9]+),([0-9]+)\]/\1 \2 \3 \4 \5/' |
            while read -r name dtype shape begin end; do
                echo "$name $dtype $shape $(tail -c +$((9 + length + begin)) "$file" | head -c $((end - begin)) | sha256sum)"
            done
    done | sort
}

compile llama3 llama3 & first=$!
compile gpt2 gpt2
wait $first
compile llama3 llama3-tied & first=$!
compile phi3 phi3
wait $first
for weights in llama3 llama3-tied gpt2 phi3; do
    check "$weights"
done
[ "$(grep -c . here)" -gt 20 ] # tensors() has seen some
