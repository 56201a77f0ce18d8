#!/usr/bin/env bash
# A compiled program's trace names the kernels that the plan lists, in their order, and the model's lines.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -f tests/text.awk >"$work/text"
cat >"$work/small.nm" <<'END'
dims vocab = 256, d = 32
dims batch = ?, seq = ?
model small(tokens: vocab[batch, seq]) {
  x = embed(tokens, vocab -> d)
  return linear(tanh(up: linear(x, d -> d)), d -> vocab)
}
train (tokens: vocab[batch, seq], labels: vocab[batch, seq]) {
  minimize cross_entropy(small(tokens), labels, vocab) { sgd(lr = 0.1) }
}
END
nemocc "$work/small.nm" --target host -o "$work/small"
"$work/small" --data "$work/text" --steps 3 --seq 32 --micro-batch 2 --global-batch 4 --trace "$work/t" >/dev/null
"$PWD/build/tests/tools/trace_check" "$work/t" 1 >"$work/report"

# of a micro-batch; one group may be several launches
planned=$(nemocc "$work/small.nm" --emit=plan | sed -n '/^plan @train.micro.turn.0.one/,/^plan @eval/s/^ *[0-9][0-9]* \([a-z]*\) .*/\1/p' | uniq)
traced=$(sed -n '/"train.micro.turn.0.one"/,/"name": "backward"/s/^{"name": "\([a-z]*\)[^,]*, "cat": "kernel".*/\1/p' "$work/t" | uniq)
[ "$planned" = "$(echo "$traced" | head -n "$(echo "$planned" | wc -l)")" ] || { echo "$planned" && echo "$traced" && exit 1; }
calls=$(grep -c '"train.micro.turn.0.one"' "$work/t")
[ "$calls" -eq 2 ]
grep -qE '^function train.micro.turn.0.one: 2 calls, (2[2-9]|3[0-9]) kernels' "$work/report"
for kernel in 'map.x[.0-9]* small.nm:4' 'dot[.0-9]* small.nm:5' 'row[.0-9]* small.nm:8' 'scatter[.0-9]* small.nm:'; do
    grep -qE "\"name\": \"$kernel" "$work/t" || { echo "no $kernel" && cat "$work/t" && exit 1; }
done
