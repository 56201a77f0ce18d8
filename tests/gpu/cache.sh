#!/usr/bin/env bash
# Cubins are kept for the next time: ptxas runs once for equal kernels, and again where its version or a kernel is
# another one. A cache that is broken, or cannot be written, is none. The ptxas here counts how often it assembles.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/ptxas" <<END
#!/bin/sh
[ "\$1" != --version ] || { cat "$scratch/version"; exit; }
echo "\$1" >>"$scratch/calls"
for last; do :; done
echo "cubin \$1" >"\$last"
END
chmod +x "$scratch/ptxas"
echo 'model m(x[batch, d]) { return exp(x) }   dims d = 8, batch = ?   infer (x[batch, d]) { return m(x) }' >"$scratch/m.nm"
export NEMOCC_PTXAS=$scratch/ptxas

expect() { # times that ptxas assembles, words that nemocc says (none: it is silent), then flags
    local calls=$1 words=$2
    shift 2
    : >"$scratch/calls"
    nemocc "$scratch/m.nm" --target host,cuda --arch sm_80,sm_90a "$@" -o "$scratch/m" >"$scratch/said" 2>&1 || { cat "$scratch/said" && exit 1; }
    if [ "$(wc -l <"$scratch/calls")" -ne "$calls" ] ||
        { [ -z "$words" ] && [ -s "$scratch/said" ]; } || ! grep -qF -- "$words" <(cat "$scratch/said" && echo); then
        echo "NEMOCC_CACHE_DIR=$NEMOCC_CACHE_DIR $*: assembled $(cat "$scratch/calls"), said $(cat "$scratch/said")"
        exit 1
    fi
}

echo "version 1" >"$scratch/version"
export NEMOCC_CACHE_DIR=$scratch/a/cache
expect 2 ""
cp "$scratch/m" "$scratch/before"
expect 0 ""
cmp "$scratch/m" "$scratch/before"
sed -i '1i # a line more' "$scratch/m.nm"
expect 0 ""
sed -i 's/exp/sqrt/' "$scratch/m.nm"
expect 2 ""
expect 0 ""
echo "version 2" >"$scratch/version"
expect 2 ""
for file in "$NEMOCC_CACHE_DIR"/nemocc-cubin-sm_80-*; do echo >>"$file"; done
expect 1 "is broken, and made again"
expect 0 ""
NEMOCC_CACHE_DIR=$scratch/m.nm/cache
expect 2 "no cubin is kept for the next time in $scratch/m.nm/cache/"
NEMOCC_CACHE_DIR=
expect 2 ""
expect 2 ""
