#!/usr/bin/env bash
# --entry documents: samples of several documents are to a model what a sample of each is, on any mesh, if it is told where
# they end; and they are not if it is not told.
set -eu
. tests/models/lib.sh
told=(--eod 10 --reset-position-ids --reset-attention-mask --eod-mask-loss)

# documents of 8 bytes, a letter of which depends on where it stands
awk 'BEGIN { srand(1); for (i = 0; i < 300; i++) { for (k = 0; k < 7; k++) printf "%c", k % 2 ? 97 + int(4 * rand()) : 107 + k; print "" } printf "k" }' >"$work/docs"
nemocc models/llama3.nm --preset tiny -D layers=2 -D vocab=700 --entry documents -o "$work/t"
"$work/t" --data "$work/docs" --steps 50 --seq 8 --micro-batch 8 --lr 3e-3 --warmup 5 --save "$work/ckpt" >/dev/null
loss() { "$work/t" eval --checkpoint "$work/ckpt" --data "$work/docs" "$@" --json 2>/dev/null | sed -E 's/.*"loss": ([^,]*),.*/\1/'; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-5 && d > -1e-5) }' || { echo "$1 is not $2"; exit 1; }; }

alone=$(loss --seq 8 --eod 10 --eod-mask-loss)
near "$(loss --seq 16 "${told[@]}")" "$alone"
for mesh in "--cp 2" "--pp 2" "--cp 2 --cp-comm ring"; do
    near "$(loss --seq 16 "${told[@]}" $mesh)" "$alone"
done
untold=$(loss --seq 16)
awk -v a="$untold" -v b="$alone" 'BEGIN { exit !(a > b + 0.2) }'
for one in "${told[@]:2}"; do # each of the three is read
    awk -v a="$(loss --seq 16 --eod 10 "$one")" -v b="$untold" 'BEGIN { d = a - b; exit !(d > 1e-4 || d < -1e-4) }'
done
# the logits are of the same documents: the mean of their cross entropies, without those behind an end, is the loss
"$work/t" eval --checkpoint "$work/ckpt" --data "$work/docs" "${told[@]}" --seq 16 --samples 20 --micro-batch 8 --json --dump-logits "$work/logits" >"$work/json" 2>/dev/null
od -An -v -w1 -tu1 -N321 "$work/docs" >"$work/bytes"
values "$work/logits" logits f4 | awk -v text="$work/bytes" '
    function end() { if (token != 10) { total += log(sum) - scored; tokens++ } }
    BEGIN { getline label <text }
    { if (n % 700 == 0) { if (n) end(); sum = 0; token = label; getline label <text }
      sum += exp($1); if (n++ % 700 == label + 0) scored = $1 }
    END { end(); print total / tokens, tokens }' >"$work/mean"
near "$(cut -d' ' -f1 "$work/mean")" "$(sed -E 's/.*"loss": ([^,]*),.*/\1/' "$work/json")"
grep -q "\"tokens\": $(cut -d' ' -f2 "$work/mean"), " "$work/json"

# an evaluation that is told nothing is told what training was, and says so; one that is told something is not
"$work/t" --data "$work/docs" "${told[@]}" --seq 16 --steps 1 --save "$work/told" >/dev/null
of_told() { "$work/t" eval --checkpoint "$work/told" --data "$work/docs" --seq 16 "$@" 2>"$work/out"; }
[ "$(of_told)" = "$(of_told "${told[@]}")" ]
of_told >/dev/null
for one in "--eod 10" "${told[@]:2}"; do grep -q -- "^note: $one, as the checkpoint was trained" "$work/out"; done
all=$(of_told)
of_told --eod 10 --eod-mask-loss >"$work/less"
[ "$all" != "$(cat "$work/less")" ]
grep -q -- '^note: --reset-position-ids was given for the checkpoint, and is not now' "$work/out"
[ "$all" != "$(of_told --eod 10)" ] # alone: without the flags of documents
nemocc models/llama3.nm --preset tiny -D layers=2 -D vocab=700 -o "$work/untold"
"$work/untold" eval --checkpoint "$work/told" --data "$work/docs" --seq 16 >/dev/null 2>"$work/out"
grep -q "^note: the checkpoint was trained with --eod-mask-loss, and this binary reads no field 'mask'" "$work/out"

# a text of ends alone: nothing is left to weigh
head -c 50 /dev/zero | tr '\0' '\n' >"$work/ends"
"$work/t" eval --checkpoint "$work/ckpt" --data "$work/ends" --eod 10 --eod-mask-loss --seq 16 --json >"$work/json" 2>"$work/out"
grep -q '^{"loss": null, "perplexity": null, "tokens": 0, "step": 50, "checkpoint": ".*/step-000050"}$' "$work/json"
grep -q "^note: all tokens of .*/ends are masked: there is no loss" "$work/out"
"$work/t" --data "$work/docs" --eod 10 --eod-mask-loss --seq 16 --steps 1 --eval-data "$work/ends" --log-dir "$work/logs" >/dev/null 2>&1
if grep -q eval_loss "$work/logs/metrics.jsonl"; then exit 1; fi

# a model whose parameter has another name than the field says no logits of it
sed 's/at: i32\[batch, seq\] = none/place: i32[batch, seq] = none/; s/decoder(x, at, /decoder(x, place, /' models/llama3.nm >"$work/place.nm"
nemocc "$work/place.nm" --preset tiny -D layers=2 -D vocab=700 --entry documents -o "$work/place"
"$work/place" eval --checkpoint "$work/ckpt" --data "$work/docs" --eod 10 --reset-position-ids --seq 16 --dump-logits "$work/no" >"$work/out" 2>&1 && exit 1
grep -q "dump-logits with --reset-position-ids: the model's parameter for it is not called 'at'" "$work/out"

# training reads them, too: a step on a mesh is a step of one rank
step() { "$work/t" --data "$work/docs" "${told[@]}" --seq 16 --global-batch 4 --micro-batch 2 --steps 2 --warmup 0 --lr 1e-2 "$@" | sed -n 's/^step 2.*loss \([0-9.]*\).*/\1/p'; }
near "$(step)" "$(step --cp 2)"
near "$(step)" "$(step --dp 2)"

# a text by a tokenizer, which is kept beside the checkpoint: eval, a resumed run and generate find it there
"$work/t" --data "$work/text" --tokenizer tests/fixtures/tokenizers/llama3.json --eod '<|endoftext|>' --eod-mask-loss --seq 32 --micro-batch 2 \
    --steps 3 --save "$work/tokens" >"$work/out"
grep -qE '^[^:]*: [0-9.]+ KiB, [0-9.]+ K tokens by tests/fixtures/tokenizers/llama3.json, ' "$work/out"
"$work/t" eval --checkpoint "$work/tokens" --data "$work/text" --seq 32 --samples 20 >"$work/beside" 2>/dev/null
"$work/t" eval --checkpoint "$work/tokens" --data "$work/text" --seq 32 --samples 20 --tokenizer tests/fixtures/tokenizers/llama3.json >"$work/given" 2>/dev/null
"$work/t" eval --checkpoint "$work/tokens" --data "$work/text" --seq 32 --samples 20 --tokenizer bytes --eod 0 --eod-mask-loss >"$work/bytes" 2>/dev/null
cmp "$work/beside" "$work/given"
if cmp -s "$work/beside" "$work/bytes"; then exit 1; fi
"$work/t" --save "$work/tokens" --resume auto --steps 4 >"$work/out"
grep -q 'tokens by .*/tokens/companions, ' "$work/out"
refused() { "$work/t" --data "$work/text" --steps 1 "$@" >"$work/out" 2>&1 && exit 1; cat "$work/out"; }
refused --eod-mask-loss --eod '<|nothing|>' --tokenizer tests/fixtures/tokenizers/llama3.json | grep -q 'is no token of tests/fixtures/tokenizers/llama3.json, and no id below 426'
refused --eod-mask-loss --eod '<|nothing|>' | grep -q "is no id, and a token's text needs --tokenizer"
refused --eod 10 | grep -q -- '--eod needs --reset-position-ids, '
refused --eod-mask-loss | grep -q 'eod-mask-loss needs --eod ID'
refused --eod 700 --eod-mask-loss | grep -q -- '--eod: token 700 is not below vocab = 700 (.*llama3.nm:2)'

# a file with a train entry without a name trains by that one
nemocc models/llama3.nm --preset tiny --stop-after=frontend --emit=nmir -o "$work/nmir"
grep -q '^func @train(' "$work/nmir"
if grep -q '@train.documents' "$work/nmir"; then exit 1; fi
nemocc models/llama3.nm --preset tiny --entry documents --stop-after=frontend --emit=nmir -o "$work/nmir"
grep -q '^func @train.documents(' "$work/nmir"
if grep -q '^func @train(' "$work/nmir"; then exit 1; fi
