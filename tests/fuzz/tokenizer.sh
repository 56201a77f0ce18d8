#!/usr/bin/env bash
# The fuzzer of tokenizer.json files from the small ones of the fixtures; longer: tests/fuzz/tokenizer.sh SECONDS
. "$(dirname "$0")/lib.sh"
seeds=build/fuzz/tokenizer.seeds
rm -rf $seeds
mkdir -p $seeds
find tests/fixtures/tokenizers -name '*.json' -size -20k -exec cp {} $seeds \;
for file in $seeds/*; do # without most of its vocabulary: what stands around it is what is read in many ways
    sed -E 's/("vocab":\{("[^"]*":[0-9]+,){20})[^}]*("[^"]*":[0-9]+\})/\1\3/; s/"merges":\[.*\]\}\}/"merges":[]}}/' "$file" >"$file.small"
done
fuzz tokenizer 8000 "${1:-}" "$(files $seeds)" -max_len=20000 -dict=tests/fuzz/tokenizer.dict
