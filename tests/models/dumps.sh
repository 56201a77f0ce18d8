#!/usr/bin/env bash
# eval --json and --dump-logits, train --dump-gradients: the logits are those that the loss is of, the
# gradients those that grad_norm is of, and the same on a mesh; a mistake or a full disk leaves no file.
set -eu
. tests/models/lib.sh
cpu=$work/gqa
{ cat tests/models/gqa.nm && echo 'mesh { dp: batch  pp: layers  tp: kv ff }'; } >"$work/gqa.nm"
nemocc "$work/gqa.nm" -o "$cpu"
(run_in run gqa --steps 30 --save-every 15) >/dev/null
evaluate=("$cpu" eval --checkpoint "$work/run/ckpt" --data "$work/text" --seq 48 --samples 5 --micro-batch 2)

"${evaluate[@]}" --dump-logits "$work/logits" --json >"$work/json" 2>/dev/null
grep -qE '^\{"loss": [0-9.]+, "perplexity": [0-9.]+, "tokens": 240, "step": 30, "checkpoint": "[^"]*/step-000030"\}$' "$work/json"
grep -qaF '"logits":{"dtype":"F32","shape":[5,48,256]' "$work/logits"
# the samples are the text's first bytes
cmp <(values "$work/logits" tokens d4 | tr -d ' ') <(od -An -v -w1 -tu1 -N240 "$work/text" | tr -d ' ')
# the mean cross entropy of the logits is the loss; a label is the byte behind its token
od -An -v -w1 -tu1 -j1 -N240 "$work/text" >"$work/labels"
values "$work/logits" logits f4 | awk -v labels="$work/labels" '
    { if (n % 256 == 0) { if (n) total += log(sum) - scored; sum = 0; getline label <labels }
      sum += exp($1); if (n++ % 256 == label + 0) scored = $1 }
    END { print (total + log(sum) - scored) / 240, n / 256 }' >"$work/mean"
awk -F'[:,}]' -v mean="$(cut -d' ' -f1 "$work/mean")" '{ d = $2 - mean; exit !(d < 1e-4 && d > -1e-4) }' "$work/json"
grep -q ' 240$' "$work/mean"

# what is no number is null, and a perplexity that a double has no room for; a loss that is none is code 1
scaled() { # scaled FACTOR: the loss of the same weights, times it
    sed "s/minimize cross_entropy/minimize $1 * cross_entropy/" tests/models/gqa.nm >"$work/scaled.nm"
    nemocc "$work/scaled.nm" -o "$work/scaled"
    "$work/scaled" "${evaluate[@]:1}" --json 2>"$work/out"
}
scaled 100.0 | grep -qE '^\{"loss": [0-9.]+, "perplexity": [0-9.]+e\+[0-9]+, "tokens": 240, '
scaled 1000.0 | grep -qE '^\{"loss": [0-9.]+, "perplexity": null, "tokens": 240, '
code=0
scaled 'log(0.0 - f32(seq))' >"$work/json" || code=$?
[ $code -eq 1 ]
grep -q '^{"loss": null, "perplexity": null, "tokens": 240, ' "$work/json"
grep -qE '^error: the loss of .*/step-000030 on .*/text is -?nan' "$work/out"
# the newest checkpoint that is whole
truncate -s -1 "$work/run/ckpt/step-000030/00000.safetensors"
"${evaluate[@]}" --json 2>/dev/null | grep -qE '"step": 15, "checkpoint": "[^"]*/step-000015"'

step=("$cpu" --data "$work/text" --seq 48 --global-batch 8)
"${step[@]}" --micro-batch 2 --dump-gradients "$work/one" >"$work/out"
grep -qE '^step 1, of 8 samples: loss 5\.[0-9]+, grad_norm [0-9.]+$' "$work/out"
norm=$(sed -n 's/.*grad_norm //p' "$work/out")
tail -c +$(($(od -An -tu8 -N8 "$work/one") + 9)) "$work/one" | od -An -v -w4 -tf4 >"$work/one.values"
awk -v norm="$norm" '{ s += $1 * $1 } END { d = sqrt(s) / norm - 1; exit !(d < 1e-4 && d > -1e-4) }' "$work/one.values"
for mesh in "--dp 2 --zero 3" "--tp 2 --pp 2"; do
    "${step[@]}" --micro-batch 1 $mesh --dump-gradients "$work/mesh" >/dev/null
    cmp <(head -c 400 "$work/one") <(head -c 400 "$work/mesh")
    tail -c +$(($(od -An -tu8 -N8 "$work/mesh") + 9)) "$work/mesh" | od -An -v -w4 -tf4 |
        paste "$work/one.values" - | awk '{ d = $1 - $2; far += d * d; all += $1 * $1 } END { exit !(NF == 2 && far < 1e-9 * all) }'
done

refuse() { # refuse CODE PATTERN COMMAND...
    local code=0 want=$1 pattern=$2
    shift 2
    "$@" >"$work/out" 2>&1 || code=$?
    [ $code -eq "$want" ] && grep -qE -- "$pattern" "$work/out" || { cat "$work/out"; echo "code $code of: $*"; return 1; }
}
refuse 2 '--dump-logits is for one rank, and the mesh has 2' "${evaluate[@]}" --tp 2 --dump-logits "$work/no"
refuse 1 'cannot write .*/no.part: File too large' bash -c 'ulimit -f 100; exec "$@"' - "${evaluate[@]}" --dump-logits "$work/no"
refuse 1 'cannot create .*/absent/no.part' "${evaluate[@]}" --dump-logits "$work/absent/no"
refuse 1 'cannot write .*/no.part: File too large' bash -c 'ulimit -f 100; exec "$@"' - "${step[@]}" --dump-gradients "$work/no"
[[ ! -e "$work/no" && ! -e "$work/no.part" ]]
echo mine >"$work/no.part"
refuse 1 '/no.part is there already' "${evaluate[@]}" --dump-logits "$work/no"
refuse 1 '/no.part is there already' "${step[@]}" --dump-gradients "$work/no"
refuse 2 'is there already, and is no plain file' "${step[@]}" --dump-gradients "$work"
ln -s /dev/null "$work/null"
refuse 2 'is there already, and is no plain file' "${step[@]}" --dump-gradients "$work/null"
grep -q mine "$work/no.part"
