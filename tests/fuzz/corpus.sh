#!/usr/bin/env bash
# The fuzzer of corpora, indices and lines of JSON; longer: tests/fuzz/corpus.sh SECONDS
. "$(dirname "$0")/lib.sh"
fuzz corpus 200000 "${1:-}" "$(files tests/fuzz/corpus-corpus)" -max_len=4096
