#!/usr/bin/env bash
# README's way from a Hugging Face folder and a corpus to a model of one's own, as its commands stand there, in fewer steps.
# The folder is one that nemocc exported, with a tokenizer put beside it.
set -eu
root=$PWD
. tests/models/lib.sh
cd "$work"
ln -s "$root/models" models
mkdir -p build
ln -s "$(dirname "$(command -v nemocc)")" build/bin
nemocc models/llama3.nm --preset tiny -D layers=1 -D vocab=512 -o first
./first --data text --seq 32 --micro-batch 2 --steps 1 --save first.ckpt >/dev/null
./first export --checkpoint first.ckpt --out DIR >/dev/null
cp "$root/tests/fixtures/tokenizers/llama3.json" DIR/tokenizer.json
sed 's/["\\]//g; s/.*/{"text": "&"}/' text >documents.jsonl

sed -n '/^## From a Hugging Face folder/,/^## Many ranks/s/^    //p' "$root/README.md" |
    sed -E 's/--seq [0-9]+/--seq 32/; s/--steps [0-9]+/--steps 5/; s/--warmup [0-9]+/--warmup 2/; s/--eval-every [0-9]+/--eval-every 5/' >commands
bash -e commands >out 2>&1 || { cat out; exit 1; }
[ "$(grep -c . commands)" -eq 6 ]
grep -q 'done at step 5 of 5' out
[[ -s OUT/model.safetensors && -s OUT/config.json ]]
cmp OUT/tokenizer.json DIR/tokenizer.json
./train_bin eval --init hf:OUT --data corpus --split 98,2,0 --seq 32 --json >exported
./train_bin eval --checkpoint ckpt --data corpus --split 98,2,0 --seq 32 --json >trained
diff <(cut -d, -f1 exported) <(cut -d, -f1 trained)
