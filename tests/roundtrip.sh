#!/usr/bin/env bash
# print(parse(t)) is t for printed t: every .nmir of the tree that is meant to parse, with and without
# locations, and what passes make of the models.
set -u
out=$(mktemp -d) n=0 bad=0
trap 'rm -rf "$out"' EXIT

again() { # is $out/once, which was printed by nemocc-opt or nemocc with $1, a fixed point? $2 says what it is
    nemocc-opt $1 "$out/once" >"$out/twice" && diff -u "$out/once" "$out/twice" || { echo "$2"; bad=1; }
    n=$((n + 1))
}

for file in $(find tests models -name '*.nmir' | sort); do
    grep -q -e '# error:' -e 'verify-diagnostics' "$file" && continue
    for locs in "" --locs; do
        nemocc-opt $locs "$file" >"$out/once" && again "$locs" "$file $locs" || bad=1
    done
done
for model in gpt2 llama3; do
    for pass in split_heads autodiff accumulate fuse schedule; do
        nemocc "models/$model.nm" --preset tiny --emit=nmir --stop-after=$pass -o "$out/once" &&
            again "" "$model after $pass" || bad=1
    done
done
[ $bad -eq 0 ] && [ $n -gt 0 ]
