#!/usr/bin/env bash
# The flavour gpu on the emulator trains as the host does: losses of tiny models, one rank and meshes, kernels' asynchronous
# parts in every order; a checkpoint of one device goes on on the other; eval and generate agree.
set -eu
. tests/models/lib.sh

build() { nemocc "models/$1.nm" --preset tiny --target host,emu "${@:2}" -o "$work/$1"; }
go() { # go MODEL FOLDER FLAGS...: steps of four samples
    local program=$work/$1 folder=$work/$2
    shift 2
    "$program" --data "$work/text" --micro-batch 2 --global-batch 4 --seq 40 --lr 2e-3 --warmup 2 --threads 1 --save "$folder/ckpt" \
        --log-dir "$folder/logs" "$@" >"$work/out" 2>&1 || { echo "$*" && cat "$work/out" && return 1; }
}
same() { close_to <(losses "$1") <(losses "$2") "$3" 1e-5 || { echo "in $2" && exit 1; }; }

build gpt2
build llama3 --precision f32,bf16 -D layers=6 -D d=64 -D ff=128
for model in gpt2 llama3; do
    go $model host.$model --steps 4 --device host
    go $model emu.$model --steps 4 --device emu
    same host.$model emu.$model 4
    NEMOCC_EMU=random:3 go $model random.$model --steps 4 --device emu --tp 2 --pp 2
    same host.$model random.$model 4
done
NEMOCC_EMU=lazy go gpt2 lazy --steps 4 --device emu --dp 2 --zero 3 --check-memory
same host.gpt2 lazy 4
# Calls with collectives are CUDA graphs from the second on, which changes no bit.
NEMOCC_EMU=lazy go gpt2 plain --steps 4 --device emu --dp 2 --zero 3 --graphs 0
diff <(losses lazy) <(losses plain)
go llama3 ring --steps 4 --device emu --cp 2 --cp-comm ring
same host.llama3 ring 4

# An odd number of tokens.
go llama3 host.odd --steps 2 --seq 33 --device host
NEMOCC_EMU=lazy go llama3 emu.odd --steps 2 --seq 33 --device emu --tp 2 --sp 0
same host.odd emu.odd 2

# Stages send by NCCL, which waits until the other side receives: interleaved, with ranks that send both ways at once.
NEMOCC_EMU=random:5 go llama3 stages --steps 2 --device emu --pp 3 --vp 2 --micro-batch 1 --global-batch 6
NEMOCC_EMU=lazy go llama3 stages.tp --steps 2 --device emu --pp 2 --vp 3 --tp 2 --micro-batch 1 --global-batch 6 --check-memory
go llama3 stages.host --steps 2 --device host --micro-batch 1 --global-batch 6
for run in stages stages.tp; do same stages.host $run 2; done

# Ranks that share a GPU do it through host memory, and say so; from 2.30 on NCCL lets two of them try.
go gpt2 two --steps 2 --device host
while read -r order mesh; do
    NEMOCC_EMU=$order NEMOCC_EMU_DEVICES=1 go gpt2 shared --steps 2 --device emu $mesh
    same two shared 2
    grep -q ', collectives through pinned host memory as ranks share a GPU' "$work/out" || { cat "$work/out" && exit 1; }
    rm -r "$work/shared"
done <<'MESHES'
random:8 --tp 2 --pp 2
lazy --dp 2 --zero 3
MESHES
NEMOCC_EMU_DEVICES=1 NEMOCC_EMU_NCCL=23003 go gpt2 shared --steps 2 --device emu --pp 2
same two shared 2
if grep -q 'host memory' "$work/out"; then cat "$work/out" && exit 1; fi

# In bf16: near the host's bf16, and not f32.
go llama3 host.bf16 --steps 4 --device host --precision bf16
go llama3 emu.bf16 --steps 4 --device emu --precision bf16 --tp 2
NEMOCC_EMU_ARCH=sm_80 go llama3 sm_80.bf16 --steps 4 --device emu --precision bf16 # kernels' other forms
for run in emu sm_80; do close_to <(losses host.bf16) <(losses $run.bf16) 4 1e-4; done
if close_to <(losses emu.llama3) <(losses emu.bf16) 4 1e-6 >"$work/report"; then echo "bf16 is f32" && exit 1; fi

# A GPT-2, whose biases and gelus are epilogues: both round once behind them. Plain products compute the same.
one="--fix tp=1 --fix cp=1 --fix pp=1 --fix dp=1"
nemocc models/gpt2.nm --preset tiny --target host,emu --precision bf16 $one -o "$work/rounds"
nemocc models/gpt2.nm --preset tiny --target emu --precision f32,bf16 --plain-products $one -o "$work/bare"
go rounds rounds.host --steps 2 --device host
go rounds rounds.emu --steps 2 --device emu
go bare bare.f32 --steps 4 --device emu
go bare bare.bf16 --steps 2 --device emu --precision bf16
close_to <(losses rounds.host) <(losses rounds.emu) 2 1e-4
close_to <(losses rounds.emu) <(losses bare.bf16) 2 1e-5
same host.gpt2 bare.f32 4

# Attention's gradient in one pass says that its sums have no order, and is near the other one.
if grep -q 'no fixed order' "$work/out"; then echo "an order is denied" && exit 1; fi
nemocc models/llama3.nm --preset tiny -D layers=6 -D d=64 -D ff=128 --target emu --precision bf16 --fix cp=1 --fix pp=1 --fast-attention-grad -o "$work/fast"
NEMOCC_EMU=random:3 go fast unordered --steps 4 --device emu --tp 2
head -1 "$work/out" | grep -q "sums of attention's gradient in no fixed order"
close_to <(losses host.bf16) <(losses unordered) 4 1e-4

# The same bits twice.
go gpt2 again --steps 4 --device emu
diff <(losses emu.gpt2) <(losses again)
diff <(tensors emu.gpt2) <(tensors again)

# Measured algorithms are for those that ask for them, and they say so.
tune() { NEMOCC_CACHE_DIR=$work/cache go gpt2 "$1" --steps 1 --warmup 0 --device emu "${@:2}" && said=$(head -1 "$work/out"); }
tune measure --tune-products
grep -q ', products to be measured for later runs' <<<"$said"
tune measured --tune-products --tp 2
grep -q ', products by measured algorithms' <<<"$said"
tune heuristic
if grep -q products <<<"$said"; then echo "$said" && exit 1; fi

# A trace has what the stream did, with its model lines, and products with their floating-point operations.
go gpt2 traced --steps 2 --device emu --tp 2 --trace "$work/trace"
build/tests/tools/trace_check "$work/trace" 2 >"$work/report"
grep -qE '^rank 1: 1 steps, [0-9]+ functions, [2-9][0-9][0-9] kernels, 0 shares, [1-9][0-9]* collectives, 0 messages' "$work/report" ||
    { cat "$work/report" && exit 1; }
for what in '"thread_name".*"stream"' '"dot[.a-z0-9]* gpt2.nm:15", "cat": "kernel".*"flops": [1-9]' '"attention[.a-z0-9]* gpt2.nm:' '"copy", "cat": "copy"'; do
    grep -q "$what" "$work/trace" || { echo "no $what in the trace" && exit 1; }
done

# Two steps on one device, two on the other.
go gpt2 half --steps 2 --device host
go gpt2 half --steps 4 --device emu --resume auto
same host.gpt2 half 4

on() { "$work/gpt2" "$2" --device "$1" --checkpoint "$work/emu.gpt2/ckpt" "${@:3}" 2>/dev/null; }
diff <(on host generate --prompt 'the ' --max-tokens 12 --temperature 0) <(on emu generate --prompt 'the ' --max-tokens 12 --temperature 0)
loss() { on "$1" eval --data "$work/text" --seq 40 --samples 8 | grep -oE '[0-9]+\.[0-9]{3,}' | head -1; }
[ -n "$(loss host)" ]
close_to <(loss host) <(loss emu) 1 1e-5

# A rank that stands still in NCCL's collectives is named, with the one that it is behind in, or in the middle of.
"$work/llama3" --data "$work/text" --micro-batch 1 --global-batch 2 --seq 40 --steps 100000 --threads 1 --device emu --dp 2 --comm-timeout 3 \
    --log-dir "$work/stopped" >"$work/out" 2>&1 &
run=$!
until [ -s "$work/stopped/metrics.jsonl" ]; do sleep 0.2; done
still=$(pgrep -P $run | tail -1)
kill -STOP "$still"
code=0
wait $run || code=$?
kill -9 "$still" 2>/dev/null || true
[ $code -eq 1 ] && grep -qE 'rank 1 (has not entered (all_reduce|reduce_scatter|all_gather) [^ ]+ \(.*\) for 3 s|does not move) \(stopped\)' "$work/out" ||
    { cat "$work/out" && exit 1; }
