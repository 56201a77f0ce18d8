#!/usr/bin/env bash
# FP8 on the emulator: products are the library's, of e4m3 and e5m2, and train as the host's do; so do ranks that have a part
# of a weight each; each recipe does. An evaluation and a text may have any sizes, on any GPU. What no library multiplies is
# refused in a sentence, before anything is read.
set -eu
. tests/models/lib.sh
nemocc tests/gpu/fp8_layers.nm --target host,emu --precision bf16,fp8 --fix cp=1 -o "$work/small"
go() { # go FOLDER FLAGS...: three steps of four samples
    local folder=$work/$1
    shift
    "${binary:-$work/small}" --data "$work/text" --micro-batch 2 --global-batch 4 --seq 24 --lr 2e-3 --threads 1 --steps 3 --save "$folder/ckpt" \
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
go idle --device emu --precision fp8 --fp8-fast-accum 0
grep -q 'note: --fp8-fast-accum 0 changes nothing: the emulator sums in f32' "$work/out"
cmp <(losses emu) <(losses idle)
if close_to <(losses bf16) <(losses host) 3 1e-5 >/dev/null; then echo "fp8 is bf16" && exit 1; fi

# Other recipes scale by other maxima: of earlier steps, which ranks agree on, or of blocks, which are other ones over tp.
nemocc tests/gpu/fp8_layers.nm --target host,emu --precision fp8 --fp8-recipe delayed,blockwise --recompute selective --fix cp=1 -o "$work/recipes"
for recipe in delayed blockwise; do
    for mesh in "" "--tp 2"; do
        for device in host emu; do
            binary=$work/recipes go "$recipe$mesh $device" --device "$device" --fp8-recipe "$recipe" $mesh
        done
        same "$recipe$mesh host" "$recipe$mesh emu" 1e-5
    done
    same "$recipe host" "$recipe--tp 2 host" 1e-3
    same host "$recipe host" 1e-2
done
if close_to <(losses host) <(losses "delayed host") 3 1e-5 >/dev/null; then echo "delayed is current" && exit 1; fi

# GPUs that have no products of 8 bits multiply the same numbers in bf16, of any sizes.
NEMOCC_PTXAS='' nemocc tests/gpu/fp8_layers.nm --target cuda,emu --arch sm_80 --precision fp8 --recompute selective --fix cp=1 --fix tp=1 --fix dp=1 -o "$work/old"
NEMOCC_EMU_ARCH=sm_80 binary=$work/old go sm_80 --device emu
binary=$work/old go any --device emu --seq 9
same host sm_80 1e-5

# The last micro-batch of 7 samples has one, of 9 tokens; a text grows by one.
from="--checkpoint $work/emu/ckpt --precision fp8 --threads 1"
numbers_of() { # numbers_of DEVICE
    "$work/small" eval $from --device "$1" --data "$work/text" --micro-batch 3 --seq 9 --samples 7 2>/dev/null | sed 's/loss //'
}
text_of() { "$work/small" generate $from --device "$1" --prompt abcde --max-tokens 12 --temperature 0; }
close_to <(numbers_of host) <(numbers_of emu) 1 1e-5
test "$(text_of host)" = "$(text_of emu)"
test "$(text_of host)" = "$(NEMOCC_EMU_ARCH=sm_80 text_of emu)"

refused() { # refused WHY FLAGS...: nothing is made, there is no such text
    local why=$1
    shift
    if "$work/small" --data "$work/nothing" --device emu --precision fp8 --global-batch 4 --steps 1 --save "$work/odd" "$@" >"$work/out" 2>&1
    then echo "$* passes" && exit 1; fi
    grep -q "$why" "$work/out" && test ! -e "$work/odd" || { cat "$work/out" && exit 1; }
}
refused 'multiples of 16, and this one is \[18, 64\] of 32: a rank has 18 tokens of a micro-batch; take a --micro-batch that is a multiple of 16, a --seq that is a multiple of 8' \
    --micro-batch 2 --seq 9
refused 'a rank has 24 tokens .* a --micro-batch that is a multiple of 2, a --seq that is a multiple of 16,' --micro-batch 1 --seq 24 --pp 2
refused 'a rank has 24 of ff = 96 (tests/gpu/fp8_layers.nm:3); take another --tp' --micro-batch 2 --seq 24 --tp 4
