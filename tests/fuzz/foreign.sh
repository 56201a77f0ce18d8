#!/usr/bin/env bash
# A short run of the fuzzer of foreign folders from those of the fixtures; longer: tests/fuzz/foreign.sh SECONDS
cd "$(dirname "$0")/../.." || exit 1
fuzz=build/fuzz/foreign_fuzz
[ -x $fuzz ] || { echo "no $fuzz: run cmake --build build first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/files" "$new/folder"
for weights in tests/fixtures/hf/*/; do
    cp "$weights/config.json" "$new/files/$(basename "$weights").config"
done
cp tests/fixtures/hf/llama3/model.safetensors.index.json "$new/files/llama3.index"
echo '{"weight_map": {"a": "a.safetensors"}}' >"$new/files/one.index"
FUZZ_FOLDER=$new/folder $fuzz -max_total_time="${1:-5}" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -verbosity=0 -print_final_stats=0 \
    -artifact_prefix="$new/" "$new" "$new/files" && exit 0
for crash in "$new"/crash-* "$new"/timeout-* "$new"/oom-*; do
    [ -e "$crash" ] && cp "$crash" build/fuzz/ && echo "kept: build/fuzz/${crash##*/}"
done
exit 1
