#!/usr/bin/env bash
# The fuzzer of foreign folders from those of the fixtures; longer: tests/fuzz/foreign.sh SECONDS
. "$(dirname "$0")/lib.sh"
seeds=build/fuzz/foreign.seeds
rm -rf $seeds
mkdir -p $seeds $seeds.folder
for weights in tests/fixtures/hf/*/; do
    cp "$weights/config.json" "$seeds/$(basename "$weights").config"
done
cp tests/fixtures/hf/llama3/model.safetensors.index.json $seeds/llama3.index
echo '{"weight_map": {"a": "a.safetensors"}}' >$seeds/one.index
FUZZ_FOLDER=$seeds.folder fuzz foreign 2000 "${1:-}" "$(files $seeds)" -max_len=4096
