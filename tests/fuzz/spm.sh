#!/usr/bin/env bash
# A short run of the fuzzer of SentencePiece models from those of the fixtures; longer: tests/fuzz/spm.sh SECONDS
cd "$(dirname "$0")/../.." || exit 1
fuzz=build/fuzz/spm_fuzz
[ -x $fuzz ] || { echo "no $fuzz: run cmake --build build first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/models"
cp tests/fixtures/spm/*.model "$new/models"
$fuzz -max_total_time="${1:-5}" -timeout=10 -rss_limit_mb=2048 -max_len=12000 -verbosity=0 -print_final_stats=0 \
    -artifact_prefix="$new/" "$new" "$new/models" && exit 0
for crash in "$new"/crash-* "$new"/timeout-* "$new"/oom-*; do
    [ -e "$crash" ] && cp "$crash" build/fuzz/ && echo "kept: build/fuzz/${crash##*/}"
done
exit 1
