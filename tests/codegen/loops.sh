#!/usr/bin/env bash
# No innermost loop of a kernel divides: indices are spread over dims outside, or put together again,
# also where the number of heads is a rank's, a head has no power of two of elements, and a draw or a gather
# counts globally.
fail() { echo "$1" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
nemocc tests/passes/layout_gradients.nm --emit=llvm -o "$scratch/text" || exit 1

# Blocks that branch to themselves, and divide.
dividing=$(awk '
    /^define/ {name = $3}
    /^[A-Za-z0-9_.]+:/ {block = $1; sub(/:.*/, "", block); divides = 0}
    / [us](div|rem) / {divides = 1}
    /^  br i1/ && index($0 ",", "label %" block ",") {loops++; if (divides) print name, block}
    END {print loops + 0 > "'"$scratch/loops"'"}
' "$scratch/text")
[ "$(cat "$scratch/loops")" -gt 100 ] || fail "the text has $(cat "$scratch/loops") innermost loops"
[ -z "$dividing" ] || fail "these loops divide: $dividing"
