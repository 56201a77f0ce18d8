#!/usr/bin/env bash
# A model may call the positions of a text what it likes: it trains, on a mesh that splits them, too, and generates, as
# the same model does that calls them seq.
set -eu
. tests/models/lib.sh
fail() { echo "$1" >&2; exit 1; }
cat >"$work/time.nm" <<'END'
dims vocab = 256, d = 16
dims batch = ?, time(max = 64) = ?
mesh { dp: batch  cp: time }
model pairs(tokens: vocab[batch, time]) { return head: linear(silu(embed(tokens, vocab -> d)), d -> vocab) }
train (tokens: vocab[batch, time], labels: vocab[batch, time]) {
  minimize cross_entropy(pairs(tokens), labels, vocab) { adamw(lr = cosine(peak = 1e-3, warmup = 5)) }
}
END
sed 's/\btime\b/seq/g' "$work/time.nm" >"$work/seq.nm"
for name in time seq; do
    nemocc "$work/$name.nm" -o "$work/$name"
    (run_in of_$name $name --steps 3) >/dev/null
done
same_run of_time of_seq
(run_in of_two time --steps 3 --cp 2) >/dev/null
[ "$(rows of_two | grep -c '"loss"')" -eq 3 ]
"$work/time" generate --checkpoint "$work/of_time/ckpt" --prompt "The " --max-tokens 5 >/dev/null
"$work/time" info | grep -q '^  time .*: --seq$' || fail "info does not say that --seq sets time"
if "$work/time" --data "$work/text" --seq 100 2>"$work/said"; then fail "--seq is not bounded"; fi
grep -q 'time = 100 is above its maximum 64' "$work/said" || fail "said: $(cat "$work/said")"
