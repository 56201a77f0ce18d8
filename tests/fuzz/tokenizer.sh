#!/usr/bin/env bash
# A short run of the fuzzer of tokenizer.json files from the small ones of the fixtures; longer: tests/fuzz/tokenizer.sh SECONDS
cd "$(dirname "$0")/../.." || exit 1
fuzz=build/fuzz/tokenizer_fuzz
[ -x $fuzz ] || { echo "no $fuzz: run cmake --build build first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/files"
find tests/fixtures/tokenizers -name '*.json' -size -20k -exec cp {} "$new/files" \;
for file in "$new"/files/*; do # without most of its vocabulary: what stands around it is what is read in many ways
    sed -E 's/("vocab":\{("[^"]*":[0-9]+,){20})[^}]*("[^"]*":[0-9]+\})/\1\3/; s/"merges":\[.*\]\}\}/"merges":[]}}/' "$file" >"$file.small"
done
$fuzz -max_total_time="${1:-5}" -timeout=20 -rss_limit_mb=2048 -max_len=20000 -verbosity=0 -print_final_stats=0 \
    -dict=tests/fuzz/tokenizer.dict -artifact_prefix="$new/" "$new" "$new/files" && exit 0
for crash in "$new"/crash-* "$new"/timeout-* "$new"/oom-*; do
    [ -e "$crash" ] && cp "$crash" build/fuzz/ && echo "kept: build/fuzz/${crash##*/}"
done
exit 1
