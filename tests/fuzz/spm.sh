#!/usr/bin/env bash
# The fuzzer of SentencePiece models from those of the fixtures; longer: tests/fuzz/spm.sh SECONDS
. "$(dirname "$0")/lib.sh"
fuzz spm 2500 "${1:-}" "$(files tests/fixtures/spm -name '*.model')" -max_len=12000
