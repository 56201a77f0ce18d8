#!/usr/bin/env bash
# Training on corpora of tests/fixtures/megatron, as a user sees it: parts, blends, resumed runs, and what is refused.
set -eu
. tests/runtime/lib.sh
other=$PWD/$build/runtime/fake_other units=$PWD/$build/runtime/fake_units
a=tests/fixtures/megatron/a b=tests/fixtures/megatron/b
flags=(--seq 16 --micro-batch 4 --lr 0.1)

expect "^$a: 650 tokens in 40 documents, 40 samples of 16 tokens, 4 a step\$" "$fake" --data $a --steps 5 "${flags[@]}"
expect "^$a: 650 tokens in 40 documents, up to 3 times, " "$fake" --data $a --steps 25 "${flags[@]}"
# on the second part of a split it evaluates, with and without --eval-data
"$fake" --data $a.idx --split 80,15,5 --steps 8 --eval-every 4 "${flags[@]}" --log-dir "$work/a" >"$work/out"
grep -q '^.*: 539 tokens in 32 documents (train), ' "$work/out"
[ "$(grep -c eval_loss "$work/a/metrics.jsonl")" -eq 2 ]
# the verb eval reads the same part
"$fake" --data $a --split 80,15,5 --steps 8 --eval-every 8 "${flags[@]}" --log-dir "$work/b" --save "$work/ckpt" >/dev/null
want=$(sed -n 's/.*"eval_loss": \([0-9.]*\).*/\1/p' "$work/b/metrics.jsonl" | cut -c1-6)
expect "^loss $want" "$fake" eval --checkpoint "$work/ckpt" --data $a --split 80,15,5 --seq 16 --micro-batch 1
expect "^loss " "$fake" eval --checkpoint "$work/ckpt" --data $a --split 80,15,5 --part train --seq 16
expect "^loss " "$fake" eval --checkpoint "$work/ckpt" --data $a,$b --seq 16 --samples 50
expect 'every sample is read once, whatever the weights' "$fake" eval --checkpoint "$work/ckpt" --data 2:$a,1:$b --seq 16
once=$(grep ^loss "$work/out")
expect "^$once" "$fake" eval --checkpoint "$work/ckpt" --data $a,$b --seq 16

# a run that was cut goes on with the samples that come next, on a blend of epochs that differ
run=("$fake" --data 0.7:$a,0.3:$b "${flags[@]}" --micro-batch 2 --global-batch 4)
"${run[@]}" --steps 400 --log-dir "$work/whole" >/dev/null
"${run[@]}" --steps 400 --log-dir "$work/cut" --save "$work/cut.ckpt" --max-seconds 0.02 >/dev/null
[ "$(wc -l <"$work/cut/metrics.jsonl")" -lt 400 ]
"$fake" --save "$work/cut.ckpt" --resume auto --log-dir "$work/cut" >"$work/out" 2>&1
if grep -q 'the order of' "$work/out"; then cat "$work/out"; exit 1; fi
diff <(rows "$work/whole/metrics.jsonl") <(rows "$work/cut/metrics.jsonl")
# a longer one says that samples are others; a little longer one need not
expect 'note: the order of 0.7:.* is drawn for the 2800 samples of this run, and was for 1600: it is another one' \
    "$fake" --save "$work/cut.ckpt" --resume auto --steps 700
"${run[@]}" --data $a --steps 6 --save "$work/six" >/dev/null
"$fake" --save "$work/six" --resume auto --steps 9 >"$work/out" 2>&1
if grep -q 'the order of' "$work/out"; then cat "$work/out"; exit 1; fi

# ranks read what one would
"$units" --data 2:$a,1:$b "${flags[@]}" --micro-batch 1 --global-batch 4 --steps 12 --log-dir "$work/one" >/dev/null
"$units" --data 2:$a,1:$b "${flags[@]}" --micro-batch 1 --global-batch 4 --steps 12 --dp 2 --log-dir "$work/two" >/dev/null
paste <(sed 's/.*"loss": \([^,]*\),.*/\1/' "$work/one/metrics.jsonl") <(sed 's/.*"loss": \([^,]*\),.*/\1/' "$work/two/metrics.jsonl") |
    awk '{d = $1 - $2; if (d < -1e-4 || d > 1e-4) exit 1} END {exit NR != 12}'

# other orders are other losses; --data-order sequential is none
"$fake" --data $a --steps 8 "${flags[@]}" --seed 7 --log-dir "$work/seed" >/dev/null
"$fake" --data $a --steps 8 "${flags[@]}" --data-order sequential --log-dir "$work/order" >/dev/null
"$fake" --data $a --steps 8 "${flags[@]}" --log-dir "$work/same" >/dev/null
for x in seed order; do
    ! diff -q <(rows "$work/$x/metrics.jsonl") <(rows "$work/same/metrics.jsonl") >/dev/null || exit 1
done

expect '3200 samples, and a blend without weights has each of its 54 once. .* --data 0.741:.*,0.259:' "$fake" --data $a,$b --steps 800 "${flags[@]}"
expect '--split takes one to three weights, .* not .1,x.' "$fake" --data $a --split 1,x
expect '--split 0,1 leaves nothing to train on' "$fake" --data $a --split 0,1
expect '--part valid needs --split A,B,C' "$fake" eval --checkpoint "$work/ckpt" --data $a --part valid
expect '--eval-every needs --eval-data WHAT, or a --split with a second part' "$fake" --data $a --split 9 --eval-every 2
expect "--eod-mask-loss: this binary reads no field 'mask'; compile an entry that does" "$fake" --data $a --eod 0 --eod-mask-loss
expect '--eod needs --reset-position-ids, --reset-attention-mask or --eod-mask-loss' "$fake" --data $a --eod 0
expect 'note: --tokenizer none changes nothing: a corpus is made of tokens already' "$fake" --data $a --steps 1 "${flags[@]}" --tokenizer none
expect "^error: $a: token 15 of document 16, 128, is not below vocab = 128 \\(fake.nm:1\\); nemocc -D vocab=N compiles a model of more\$" "$other" --data $a --seq 16 --steps 1
expect 'cannot open .*/none.bin: No such file' "$fake" --data "$work/none.bin"
cp $a.idx "$work/half.idx"
expect 'cannot open .*/half.bin: No such file' "$fake" --data "$work/half"
cp $a.bin "$work/other.bin"
expect 'cannot open .*/other.idx: No such file' "$fake" --data "$work/other.bin"
expect 'the order of a corpus takes a seed below 2\^32' "$fake" --data $a --seed 4294967296
