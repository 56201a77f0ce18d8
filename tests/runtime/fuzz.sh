#!/usr/bin/env bash
# The readers of checkpoints on arbitrary bytes, from the corpus here, for some seconds.
set -eu
fuzz=${NEMOCC_BUILD:-build}/runtime/runtime_fuzz
[ -x "$fuzz" ] || exit 0 # needs clang
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$fuzz" -max_total_time="${FUZZ_SECONDS:-5}" -max_len=4096 -artifact_prefix="$work/" -print_final_stats=0 -verbosity=0 "$work" tests/runtime/corpus
