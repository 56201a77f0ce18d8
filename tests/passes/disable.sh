#!/usr/bin/env bash
# Every pass can be left out, or it is said which other needs it; never does the compiler crash.
set -eu
said=$(mktemp)
trap 'rm -f "$said"' EXIT
model=tests/models/gqa.nm
meshed="models/gpt2.nm --preset tiny"
without() { # PASSES MODEL AND FLAGS...; the exit status
    local rc=0
    nemocc "${@:2}" --target host --emit=nmir -o /dev/null --disable-pass="$1" >"$said" 2>&1 || rc=$?
    echo $rc
}
for numbers in f32 fp8; do
    for pass in $(nemocc --print-pipeline | awk '{print $2}'); do
        case $(without "$pass" $model --precision $numbers) in
        0) ;;
        1) grep -q -- "error: --disable-pass=$pass: [a-z_]* needs what it gives" "$said" ;;
        *) false ;;
        esac || { echo "$numbers, --disable-pass=$pass:" && cat "$said" && exit 1; }
    done
done
for pass in localize quantise; do # once, the compiler crashed without
    # shellcheck disable=SC2086 # words
    [ "$(without $pass $meshed --precision fp8 --fp8-recipe blockwise --fp8-format e4m3)" = 1 ]
done
# A program of ranks that exchange nothing is none.
# shellcheck disable=SC2086
if nemocc $meshed --target host --disable-pass=shard -o /dev/null 2>"$said"; then exit 1; fi
grep -q 'error: no code can be made without the pass shard' "$said"

# Each option adds to the list, and what is refused is the one that is needed.
[ "$(without ring $model --disable-pass=fuse.bias --disable-pass=localize)" = 1 ]
grep -q 'error: --disable-pass=localize: head_chunks needs what it gives' "$said"
nemocc $model --target host --emit=nmir -o /dev/null --disable-pass=head_chunks --disable-pass=ring --time-passes >"$said" 2>&1
! grep -E '^(head_chunks|ring) ' "$said" || exit 1
grep -q '^fuse ' "$said"
# Of passes that are listed, too; nothing is held against those that are not.
nemocc-opt --pass=simplify,ring,fuse --disable-pass=fuse --time-passes --quiet tests/passes/tiny_gpt2.nmir >"$said" 2>&1
[ "$(awk '{print $1}' "$said" | xargs)" = 'simplify ring' ]
