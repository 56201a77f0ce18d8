#!/usr/bin/env bash
# A short run of the fuzzer of config.json from those of the frontend's tests; longer: tests/fuzz/config.sh SECONDS
cd "$(dirname "$0")/../.." || exit 1
fuzz=build/fuzz/config_fuzz
[ -x $fuzz ] || { echo "no $fuzz: run cmake --build build first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
$fuzz -max_total_time="${1:-5}" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -verbosity=0 -print_final_stats=0 \
    -artifact_prefix="$new/" "$new" tests/frontend/config && exit 0
for crash in "$new"/crash-* "$new"/timeout-* "$new"/oom-*; do
    [ -e "$crash" ] && cp "$crash" build/fuzz/ && echo "kept: build/fuzz/${crash##*/}"
done
exit 1
