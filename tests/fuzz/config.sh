#!/usr/bin/env bash
# The fuzzer of config.json from those of the frontend's tests; longer: tests/fuzz/config.sh SECONDS
. "$(dirname "$0")/lib.sh"
fuzz config 400 "${1:-}" "$(files tests/frontend/config)" -max_len=4096
