#!/usr/bin/env bash
# Builds everything and runs every test; the last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")"
scripts/install-deps.sh
scripts/build.sh -DNEMOCC_WERROR=ON
cmake --build build # tests and fuzzers
exec tests/run "$@"
