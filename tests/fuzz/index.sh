#!/usr/bin/env bash
# A short run of the fuzzer of checkpoints' indices; longer: tests/fuzz/index.sh SECONDS
cd "$(dirname "$0")/../.." || exit 1
fuzz=build/fuzz/index_fuzz
[ -x $fuzz ] || { echo "no $fuzz: run cmake --build build first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/seeds"
piece() { # offsets $1, start $2, shape $3
    echo "{\"file\": \"a\", \"offsets\": [$1], \"start\": [$2], \"shape\": [$3], \"checksums\": [\"xxh64:012015b965183738\"]}"
}
echo "[$(piece 0,96 0,0 4,6)]" >"$new/seeds/whole"
echo "{\"pieces\": [$(piece 0,48 0,0 2,6), $(piece 48,96 2,0 2,6)], \"mesh\": {\"world\": 2, \"tp\": 2}}" >"$new/seeds/rows"
echo "{\"pieces\": [$(piece 0,32 0,0 4,2), $(piece 0,64 0,2 4,4)]}" >"$new/seeds/columns"
echo '{"pieces": [{"file": "a", "offsets": [0, 96]}]}' >"$new/seeds/version1"
$fuzz -max_total_time="${1:-5}" -timeout=10 -rss_limit_mb=2048 -max_len=2000 -verbosity=0 -print_final_stats=0 \
    -artifact_prefix="$new/" "$new" "$new/seeds" && exit 0
for crash in "$new"/crash-* "$new"/timeout-* "$new"/oom-*; do
    [ -e "$crash" ] && cp "$crash" build/fuzz/ && echo "kept: build/fuzz/${crash##*/}"
done
exit 1
