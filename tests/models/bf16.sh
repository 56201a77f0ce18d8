#!/usr/bin/env bash
# bf16 trains as f32 does, in the same binary: the losses of a hundred steps lie within 1 % of f32's, a mesh's within a
# thousandth of one rank's; a run goes on from its checkpoint bit for bit, and from one of the other precision.
set -eu
. tests/models/lib.sh
nemocc models/llama3.nm --preset tiny --target host --precision f32,bf16 -o "$work/llama3"
"$work/llama3" info >"$work/info"
grep -q '^code for host, in bf16' "$work/info"

(run_in f32 llama3 --steps 100 --threads 2) >"$work/said.f32"
(run_in bf16 llama3 --steps 100 --threads 2 --precision bf16) >"$work/said.bf16"
grep -q 'computing in f32' "$work/said.f32"
grep -q 'computing in bf16' "$work/said.bf16"
losses f32 >"$work/want"
losses bf16 >"$work/have"
close_to "$work/want" "$work/have" 100 0.01
! cmp -s "$work/want" "$work/have"

(run_in one llama3 --steps 12 --precision bf16 --save-every 6) >/dev/null
losses one >"$work/want"
for mesh in "--tp 2 --pp 2" "--dp 2 --zero 3" "--cp 2 --cp-comm ring"; do
    name=mesh$(echo "$mesh" | tr -cd 'a-z0-9')
    # shellcheck disable=SC2086 # flags
    (run_in "$name" llama3 --steps 12 --precision bf16 --threads 1 --micro-batch 1 $mesh) >/dev/null
    losses "$name" >"$work/have"
    close_to "$work/want" "$work/have" 12 0.001
done

(run_in again llama3 --steps 12 --precision bf16 --resume "$work/one/ckpt/step-000006") >/dev/null
diff <(tensors one) <(tensors again)
grep -q '"precision": "bf16"' "$work/one/ckpt/latest/index.json"
(run_in other llama3 --steps 12 --precision f32 --resume "$work/one/ckpt/step-000006") >/dev/null
losses other >"$work/have"
close_to <(tail -n 6 "$work/want") "$work/have" 6 0.01

nemocc models/llama3.nm --preset tiny --target host -o "$work/plain"
! (run_in plain plain --steps 1 --precision bf16) >"$work/said" 2>&1
grep -q 'not compiled to compute in bf16: compile it with --precision f32,bf16' "$work/said"
