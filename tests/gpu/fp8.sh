#!/usr/bin/env bash
# FP8 on the emulator: products are the library's, of e4m3 and e5m2, and train as the host's do; so do ranks that have a part
# of a weight each. What no library multiplies is refused in a sentence.
set -eu
. tests/models/lib.sh
nemocc tests/gpu/fp8_layers.nm --target host,emu --precision bf16,fp8 --fix cp=1 -o "$work/small"
go() { # go FOLDER FLAGS...: three steps of four samples
    local folder=$work/$1
    shift
    "$work/small" --data "$work/text" --micro-batch 2 --global-batch 4 --seq 24 --lr 2e-3 --threads 1 --steps 3 --save "$folder/ckpt" \
        --log-dir "$folder/logs" "$@" >"$work/out" 2>&1 || { echo "$*" && cat "$work/out" && return 1; }
}
same() { close_to <(losses "$1") <(losses "$2") 3 "$3" || { echo "in $2" && exit 1; }; }

go bf16 --device host --precision bf16
go host --device host --precision fp8
go emu --device emu --precision fp8
NEMOCC_EMU=random:3 go tp --device emu --precision fp8 --tp 2
NEMOCC_EMU=lazy go pp --device emu --precision fp8 --pp 2 --dp 2 --zero 3
same host emu 1e-5
same host tp 1e-3
same host pp 1e-5
if close_to <(losses bf16) <(losses host) 3 1e-5 >/dev/null; then echo "fp8 is bf16" && exit 1; fi

# 18 tokens.
if "$work/small" --data "$work/text" --device emu --precision fp8 --micro-batch 2 --global-batch 2 --seq 9 --steps 1 --save "$work/odd" \
    >"$work/out" 2>&1; then echo "odd sizes pass" && exit 1; fi
grep -q 'a product of fp8 has sizes that are multiples of 16, and this one is \[18, 64\] of 32' "$work/out" || { cat "$work/out" && exit 1; }
