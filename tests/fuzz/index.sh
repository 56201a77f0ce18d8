#!/usr/bin/env bash
# The fuzzer of checkpoints' indices; longer: tests/fuzz/index.sh SECONDS
. "$(dirname "$0")/lib.sh"
seeds=build/fuzz/index.seeds
mkdir -p $seeds
piece() { # offsets $1, start $2, shape $3
    echo "{\"file\": \"a\", \"offsets\": [$1], \"start\": [$2], \"shape\": [$3], \"checksums\": [\"xxh64:012015b965183738\"]}"
}
echo "[$(piece 0,96 0,0 4,6)]" >$seeds/whole
echo "{\"pieces\": [$(piece 0,48 0,0 2,6), $(piece 48,96 2,0 2,6)], \"mesh\": {\"world\": 2, \"tp\": 2}}" >$seeds/rows
echo "{\"pieces\": [$(piece 0,32 0,0 4,2), $(piece 0,64 0,2 4,4)]}" >$seeds/columns
echo '{"pieces": [{"file": "a", "offsets": [0, 96]}]}' >$seeds/version1
echo '[{"file": "a"}]' >$seeds/wrong
fuzz index 300000 "${1:-}" "$(files $seeds)" -max_len=2000
