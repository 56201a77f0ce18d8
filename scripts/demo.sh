#!/usr/bin/env bash
# Trains a small GPT-2 on the King James Bible for about three minutes, then lets it speak.
# Everything it makes is in demo/. A second run trains on from the checkpoint of the first.
set -eu
cd "$(dirname "$0")/.."
nemocc=build/bin/nemocc
[ -x $nemocc ] || { echo "demo: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
mkdir -p demo
if [ ! -s demo/bible.txt ]; then
    PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >demo/bible.part
    mv demo/bible.part demo/bible.txt
fi
$nemocc models/gpt2.nm --preset tiny -o demo/train_bin
seconds=${NEMOCC_DEMO_SECONDS:-180}
demo/train_bin --data demo/bible.txt --max-seconds "$seconds" --steps 4000 --micro-batch 8 --global-batch 8 \
    --seq 256 --lr 1e-3 --warmup 100 --save demo/ckpt --save-every 200 --keep 2 --log-dir demo/logs --resume auto
echo
# No further than the 256 positions that it was trained on: learned positions say nothing beyond.
demo/train_bin generate --checkpoint demo/ckpt --prompt "In the beginning" --max-tokens 238 --temperature 0.7 --top-p 0.9
echo
