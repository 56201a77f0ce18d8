#!/usr/bin/env bash
# The fuzzer of IR text from its corpus; longer: tests/fuzz/nmir.sh SECONDS
. "$(dirname "$0")/lib.sh"
fuzz nmir 15000 "${1:-}" "$(files tests/fuzz/corpus-nmir tests/ir tests/passes)" -max_len=4096 -dict=tests/fuzz/nmir.dict
