#!/usr/bin/env bash
# Weight maps as a binary has them: values of the config, and bases and strides of each part, also of heads that an attention
# splits. With --bless the golden is written anew.
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nemocc tests/codegen/weights.nm --emit=obj --target host --precision f32 -o "$work/m.o" &&
    "${NEMOCC_CLANG:-clang-22}" -I. tests/tools/weights.c "$work/m.o" -lm -lpthread -o "$work/weights" &&
    "$work/weights" >"$work/out" || exit 1
[ "$1" = --bless ] && cp "$work/out" tests/codegen/weights.golden
diff -u tests/codegen/weights.golden "$work/out"
