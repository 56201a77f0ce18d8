#!/usr/bin/env bash
# LLaVA at tiny sizes, one of its two entries: a frozen tower beside trained ones, windows of an image, a running sum
# over tokens that are split, and a gather by it. Its image is drawn from the text, so that a run needs no other
# data. First-step gradients and losses on meshes are one rank's.
set -eu
. tests/mesh/lib.sh
sizes="-D vocab=256 -D d=32 -D heads=4 -D kv=2 -D hd=8 -D ff=64 -D layers=2 -D vd=32 -D vheads=4 -D vhd=8 -D vff=64"
sizes+=" -D vlayers=2 -D row=28 -D col=28 -D spot=5 -D tile=4 -D image_token=46"
image='pixel = f32(tokens[seq = i32(index(row))])[+col] * (1 + f32(index(col)))\n  image = sin(pixel[+tile, +rgb] + f32(index(tile)) + 2 * f32(index(rgb)))'
sed "s/^\(train .*\), image\[batch, tile, rgb, row, col\]) {/\1) {\n  $image/" models/llava.nm >"$work/llava.nm"
nemocc "$work/llava.nm" --entry finetune $sizes --target host -o "$work/llava"
train llava one --micro-batch 4
train llava tp --micro-batch 4 --tp 2
train llava dp --micro-batch 2 --dp 2
same_numbers tp one
same_numbers dp one
