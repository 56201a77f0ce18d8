#!/usr/bin/env bash
# Weights that transformers saved give what PyTorch computes of them: logits to 1e-5, every gradient to 1e-4, the losses of
# 50 steps of AdamW to 1e-4; on a mesh, too. The values are made by tests/fixtures/reference.py.
set -eu
. tests/models/lib.sh
values=tests/fixtures/reference
tools=build/tests/tools
flags=(--data $values/text --data-order sequential --seq 32 --global-batch 2)

check() { # check MODEL FIXTURE EPS MESH [NEMOCC_FLAGS...]
    local model=$1 name=$2 eps=$3 mesh=$4 t=$work/$2 want=$values/$2
    shift 4
    nemocc "models/$model.nm" --hf-config "tests/fixtures/hf/$name/config.json" "$@" -o "$t"
    "$t" eval --init "hf:tests/fixtures/hf/$name" --data $values/text --seq 32 --samples 2 --dump-logits "$t.logits" >/dev/null
    $tools/tensors --tolerance 1e-5 "$t.logits" "$want.values" logits
    for m in "--micro-batch 2" "$mesh"; do
        "$t" --init "hf:tests/fixtures/hf/$name" "${flags[@]}" $m --dump-gradients "$t.gradients" >/dev/null
        $tools/tensors --tolerance 1e-4 "$t.gradients" "$want.gradients"
    done
    "$t" --init "hf:tests/fixtures/hf/$name" "${flags[@]}" --micro-batch 1 --steps 50 --lr 1e-3 --lr-schedule constant \
        --warmup 0 --eps "$eps" --log-dir "$work/$name.logs" >/dev/null
    sed -n 's/.*"loss": *\([^,}]*\).*/\1/p' "$work/$name.logs/metrics.jsonl" >"$work/losses"
    $tools/tensors --print "$want.values" losses >"$work/wanted"
    close_to "$work/wanted" "$work/losses" 50 1e-4
}

check gpt2 gpt2 1e-8 "--micro-batch 1 --tp 2 --pp 2" -D drop=0
check llama3 llama3 1e-5 "--micro-batch 1 --dp 2 --zero 3"
check llama3 llama3-tied 1e-5 "--micro-batch 2 --cp 2"
check phi3 phi3 1e-5 "--micro-batch 1 --tp 2 --dp 2"
