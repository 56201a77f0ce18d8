#!/usr/bin/env bash
# The fuzzer of .nm files from its corpus; longer: tests/fuzz/nm.sh SECONDS
. "$(dirname "$0")/lib.sh"
fuzz nm 5000 "${1:-}" "$(files tests/fuzz/corpus-nm tests/frontend)" -max_len=4096 -dict=tests/fuzz/nm.dict
