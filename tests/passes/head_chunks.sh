#!/usr/bin/env bash
# A head by chunks of tokens: with one chunk a run has the bits of one whose head is whole, losses and weights; with
# several (the last not full, buffers poisoned) the same losses but for the last digits, on meshes too.
set -eu
. tests/models/lib.sh
sizes="-D vocab=1000 -D d=64 -D ff=64 -D layers=2"
NEMOCC_TARGET=host
export NEMOCC_TARGET

nemocc models/gpt2.nm --preset tiny $sizes --disable-pass=head_chunks --head-chunk 7 -o "$work/whole" 2>"$work/said"
grep -q 'warning: --head-chunk 7 changes nothing: no head' "$work/said"
nemocc models/gpt2.nm --preset tiny $sizes --head-chunk=40 -o "$work/chunks" 2>"$work/said"
test ! -s "$work/said"
go() { # go FOLDER PROGRAM FLAGS...
    (run_in "$@" --steps 3 --threads 1 --check-memory) >"$work/out" 2>&1 || { cat "$work/out" && exit 1; }
}
go whole.one whole --seq 20
go chunks.one chunks --seq 20
same_run whole.one chunks.one
go whole.many whole
for mesh in "--tp 1" "--tp 2 --pp 2" "--cp 2 --dp 2 --zero 3 --micro-batch 1"; do
    go chunks.many chunks $mesh
    close_to <(losses whole.many) <(losses chunks.many) 3 1e-5
    rm -rf "$work/chunks.many"
done
