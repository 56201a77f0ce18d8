#!/usr/bin/env bash
# Dims of one name and several extents (pools, splits and merges of what a mesh splits): every function of the program
# equals the interpreter; one rank with its buffers apart and full of NaNs, and meshes, have one rank's gradients to 1e-5
# of their norms, and its losses.
set -eu
. tests/mesh/lib.sh
nemocc tests/mesh/rates.nm --emit nmir --stop-after=split_heads -o "$work/rates.nmir"
"$BUILD/tests/programs_codegen_test" "$work/rates.nmir"
nemocc tests/mesh/rates.nm -o "$work/rates"
train rates one --micro-batch 1 || { cat "$work/one.out" && exit 1; }
for mesh in "--check-memory" "--tp 2" "--pp 2 --tp 2" "--cp 2 --tp 2 --sp 0"; do
    train rates mesh --micro-batch 1 $mesh || { echo "$mesh" && cat "$work/mesh.out" && exit 1; }
    same_numbers mesh one || { echo "$mesh" && exit 1; }
done
