#!/usr/bin/env bash
# Compiled code is kept for the next time: the second compilation runs no LLVM passes and gives the same bytes, and so does
# one without a cache. Another model, processor or precision shares what is equal; what is broken is made again.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo 'model m(x[batch, d]) { return exp(x) }   dims d = 8, batch = ?   infer (x[batch, d]) { return m(x) + 1 }' >"$scratch/m.nm"
export NEMOCC_CACHE_DIR=$scratch/a/cache

expect() { # what --time-passes says of the objects, then flags
    local words=$1 said
    shift
    said=$(nemocc "$scratch/m.nm" --target host --time-passes "$@" -o "$scratch/m" 2>&1) || { echo "$said" && exit 1; }
    grep -q ", $words: generate" <<<"$said" || { echo "$*: not $words: $said" && exit 1; }
}

all=$(nemocc "$scratch/m.nm" --target host --time-passes -o "$scratch/first" 2>&1 | sed -n 's/.*kernels, \([0-9]*\) objects, 0 kept.*/\1/p')
[ "$all" -ge 3 ] || { echo "$all objects are too few for this test" && exit 1; }
expect "$all objects, $all kept"
cmp "$scratch/first" "$scratch/m"
NEMOCC_CACHE_DIR='' expect "$all objects, 0 kept"
cmp "$scratch/first" "$scratch/m"
expect "$all objects, 0 kept" --cpu x86-64-v2
expect "$all objects, $all kept" --cpu x86-64-v2
for file in "$NEMOCC_CACHE_DIR"/nemocc-object-*; do echo >>"$file"; done
expect "$all objects, 0 kept"
cmp "$scratch/first" "$scratch/m"
sed -i 's/exp/sqrt/' "$scratch/m.nm"
said=$(nemocc "$scratch/m.nm" --target host --time-passes -o "$scratch/m" 2>&1)
grep -q " 0 kept" <<<"$said" && { echo "nothing is shared with another model: $said" && exit 1; }
grep -q "$all objects, $all kept" <<<"$said" && { echo "another model has the same code: $said" && exit 1; }
! cmp -s "$scratch/first" "$scratch/m" || exit 1
NEMOCC_CACHE_DIR=$scratch/m.nm/cache
nemocc "$scratch/m.nm" --target host -o "$scratch/m" 2>&1 | grep -q "are not kept for the next time in $scratch/m.nm/cache/"
