#!/usr/bin/env bash
# print(parse(t)) is t for printed t: every .nmir of the tree that is meant to parse, with and without
# locations.
set -u
out=$(mktemp -d) n=0 bad=0
trap 'rm -rf "$out"' EXIT
for file in $(find tests models -name '*.nmir' | sort); do
    grep -q -e '# error:' -e 'verify-diagnostics' "$file" && continue
    for locs in "" --locs; do
        nemocc-opt $locs "$file" >"$out/once" && nemocc-opt $locs "$out/once" >"$out/twice" &&
            sed "s|$out/once|$file|" "$out/twice" | diff -u "$out/once" - || { echo "$file $locs"; bad=1; }
    done
    n=$((n + 1))
done
[ $bad -eq 0 ] && [ $n -gt 0 ]
