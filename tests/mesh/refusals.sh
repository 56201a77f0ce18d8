#!/usr/bin/env bash
# What cannot be is said before anything runs, in one line a mistake with the model's line, and the exit code is 2.
set -eu
. tests/mesh/lib.sh
build_model gpt2 t -D d=96 -D heads=12

refuses() { # refuses SENTENCE FLAGS...
    local sentence=$1 code=0
    shift
    "$work/t" --data "$work/text" --steps 1 --micro-batch 1 --global-batch 8 --seq 48 --threads 1 "$@" >"$work/out" 2>&1 || code=$?
    [ $code -eq 2 ] && grep -qxF "error: $sentence" "$work/out" || { echo "$*: code $code, not '$sentence'" && cat "$work/out" && return 1; }
}
refuses 'heads = 12 (models/gpt2.nm:2) is not divisible by --tp 8' --tp 8
refuses 'heads = 12 (models/gpt2.nm:2) is not divisible by --tp 8' --tp 8 --pp 2 --dry-run
refuses 'ff = 256 (models/gpt2.nm:2) is not divisible by --tp 3' --tp 3
refuses '--pp 5 is more stages than layers (models/gpt2.nm:2) = 4' --pp 5
refuses '--pp 2 x --vp 3 are more stages than layers (models/gpt2.nm:2) = 4' --pp 2 --vp 3
refuses '--sp 0 does not go together with --cp-comm ring where --tp and --cp are more than 1: leave one of them out' --tp 2 --cp 2 --sp 0 --cp-comm ring
refuses '--vp 2 needs the micro-batches of a step, 9, to be a multiple of --pp 2' --pp 2 --vp 2 --global-batch 9
refuses '6 ranks are not divisible by --tp 4 x --pp 1 x --cp 1 = 4' --tp 4 --nproc 6
refuses 'seq = 45 (models/gpt2.nm:3) is not divisible by --tp 2: with --sp 0 it need not be' --tp 2 --seq 45
refuses 'seq = 45 (models/gpt2.nm:3) is not divisible by --cp 2' --cp 2 --seq 45
refuses 'seq = 46 (models/gpt2.nm:3) is not divisible by 2 x --cp 2, as --cp-balance zigzag wants' --cp 2 --seq 46 --cp-balance zigzag
refuses '--zero takes 0, 1, 2 or 3, not 4' --dp 2 --zero 4
refuses "--global-batch 8 is not a multiple of --micro-batch 1 x dp 3" --dp 3
# several mistakes are several lines
refuses '--pp 5 is more stages than layers (models/gpt2.nm:2) = 4' --tp 8 --pp 5
grep -q 'heads = 12' "$work/out"

# before the run, too: what ZeRO-1 holds of gradients besides where a step has several micro-batches
pending() { "$work/t" --dry-run --threads 1 --seq 48 --micro-batch 1 --dp 2 "$@" | grep -c '^  gradients, pending '; }
[ "$(pending --global-batch 8)$(pending --global-batch 8 --zero 2)" = 10 ]

# two kinds of grouped heads: each kind is checked, and tp is factored by what divides both
cat >"$work/two.nm" <<'MODEL'
mesh { dp: batch   tp: heads kv heads2 kv2 vocab }
dims vocab = 256, d = 48, heads = 6, heads2 = 8, kv = 2, kv2 = 2, hd = 8, hd2 = 8
dims batch = ?, seq = ?
module block(x[batch, seq, d], heads: dim, kv: dim, hd: dim) {
  q = q: linear(x, d -> heads hd)
  k = k: linear(x, d -> kv hd)
  v = v: linear(x, d -> kv hd)
  return x + o: linear(attention(q, k, v, seq, hd, causal), heads hd -> d)
}
model two(tokens: vocab[batch, seq]) {
  x = embed(tokens, vocab -> d)
  x = one: block(x, heads, kv, hd)
  x = two: block(x, heads2, kv2, hd2)
  return head: linear(x, d -> vocab)
}
train (tokens: vocab[batch, seq], labels: vocab[batch, seq]) {
  minimize cross_entropy(two(tokens), labels, vocab) { sgd(lr = 1e-2) }
}
MODEL
two() { nemocc "$work/two.nm" "$@" -o "$work/t"; }
two
refuses "heads = 6 ($work/two.nm:2) is not divisible by --tp 4" --tp 4
two -D heads=8 -D heads2=6
refuses "heads2 = 6 ($work/two.nm:2) is not divisible by --tp 4" --tp 4
two -D heads=8 -D kv2=4 -D heads2=4
refuses "heads2 = 4 ($work/two.nm:2), in groups of 1, is not divisible by --tp 4 / 2: all key heads together divide into 2" --tp 4
two -D heads=8 -D kv2=4
"$work/t" --data "$work/text" --steps 1 --seq 48 --threads 1 --tp 4 >"$work/out" 2>&1
mv "$work/t" "$work/two"

# an axis that was fixed when the model was compiled
build_model gpt2 t --fix tp=1
refuses '--tp 2: gpt2 was compiled with --fix tp=1, or its mesh has no row tp' --tp 2

# What a mesh has no use for is said and ignored, so that a script may give the same flags to several meshes.
notes() { # notes LINES FLAGS...
    local lines=$1
    shift
    "$work/t" --data "$work/text" --steps 1 --seq 48 --threads 1 --warmup 0 --micro-batch 1 --global-batch 2 "$@" >"$work/out" 2>&1 &&
        diff <(grep '^note' "$work/out") <(printf "$lines") || { cat "$work/out" && return 1; }
}
notes 'note: --comm tcp changes nothing: one rank talks to nobody\nnote: --zero 3 changes nothing: dp is 1\n' --comm tcp --zero 3
notes 'note: --vp 2 changes nothing: --pp is 1\nnote: --sp 0 changes nothing: --tp is 1\n' --vp 2 --sp 0 --dp 2 --zero 3
notes 'note: --cp-comm ring changes nothing: --cp is 1\nnote: --cp-balance zigzag changes nothing: --cp is 1\n' \
    --cp-comm ring --cp-balance zigzag --pp 2
notes '' --cp 2 --cp-comm ring --sp 1 --zero 1
mv "$work/two" "$work/t"
notes "note: --sp 0 changes nothing: no dim of tokens is in the mesh's row tp\n" --tp 2 --sp 0

# ranks that would all do the same
nemocc models/lstm.nm --preset large -D vocab=256 -D d=64 -o "$work/t"
refuses '--cp 2: lstm has nothing to split over cp' --cp 2
refuses '--pp 2: lstm has nothing to split over stages' --pp 2
