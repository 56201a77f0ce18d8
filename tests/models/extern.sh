#!/usr/bin/env bash
# An op of a user's own (examples/op): its README's commands, as they stand there. Losses are the same on every mesh, and on the
# emulator; the mistakes that are told with both places, and what is said where there is no compiler.
set -eu
root=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$root"/examples "$work"
awk -f tests/text.awk >"$work/corpus.txt"
cp examples/op/recur.nm examples/op/recur.c "$work"
cd "$work"

commands() { sed -n 's/^    \(\(nemocc\|\.\/\)\)/\1/p' "$root/examples/op/README.md"; }
[ "$(commands | wc -l)" -eq 7 ]
while read -r command; do
    bash -c "$command" >out 2>&1 || { echo "FAIL: $command"; cat out; exit 1; }
    sed -n 's/^done at step \([0-9]*\) .* loss \(.*\)$/\1 \2/p' out >>losses
done < <(commands)
awk '$1 == 40 { n++; if (n == 1) first = $2; d = $2 - first; if (d > 2e-3 || d < -2e-3) bad = 1 }
     $1 == 4 { emu[++k] = $2 }
     END { exit bad || n != 3 || k != 2 || emu[1] != emu[2] || first > 3.5 }' losses || { echo "FAIL: losses"; cat losses; exit 1; }

split() { nemocc "$1" --emit=nmir --stop-after=shard | grep -c 'extern.* f32\[batch/dp, seq, d/tp\]' || true; }
sed 's/ d = 64/ d(pad = 6) = 64/' recur.nm >padded.nm
[ "$(split recur.nm)" -gt 0 ] || { echo "FAIL: d is not split over tp"; exit 1; }
[ "$(split padded.nm)" -eq 0 ] || { echo "FAIL: an extern is given what lies behind a padded dim's end"; exit 1; }

says() { # says TEXT COMMAND...: the command fails and says so
    local text=$1
    shift
    if "$@" >out 2>&1 || ! grep -qF -- "$text" out; then
        echo "FAIL: $* does not say: $text"
        cat out
        exit 1
    fi
}
wrong() { # wrong EDIT TEXT...: with this edit of recur.c, nemocc --check says all of these
    local edit=$1 text
    shift
    sed "$edit" "$root/examples/op/recur.c" >recur.c
    for text in "$@"; do
        says "$text" nemocc --check recur.nm
    done
}
wrong 's/int64_t seq, int64_t d)/int32_t seq, int64_t d)/' "recur.nm:8:28: error: recur.c:5:69 has 'int32_t seq' for it; expected 'int64_t seq' [ext-2]" \
    'recur.c:5:69: note: in recur'
wrong 's/recur_grad(/recur_grad(int q, /' 'recur.nm:10:3: error: recur.c:20:6 takes 10 parameters; expected 9 [ext-2]'
wrong 's/recur_grad(/gradient(/' 'recur.nm:9:3: error: recur.c defines no function recur_grad [ext-2]'
wrong 's/^void recur(/int recur(/' 'recur.c:5:5 returns int; expected void [ext-2]'
wrong 's/float last = 0;/float last = 0/' "recur.c:10:27: error: expected ';' at end of declaration"
cp "$root/examples/op/recur.c" .
says 'cannot run /nowhere/clang' env NEMOCC_CLANG=/nowhere/clang nemocc recur.nm -o out_bin
says 'without libclang' env NEMOCC_LIBCLANG=/nowhere nemocc --check recur.nm
rm recur.c
nemocc --check recur.nm # its declaration is as it was
says 'recur.nm:17:27: error: extern recur: there is no file recur.c' nemocc recur.nm -o out_bin
