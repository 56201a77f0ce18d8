#!/usr/bin/env bash
# One model at several sizes and sequence lengths, whole and odd: it compiles, its loss falls, and it
# continues its own text from the cache.
set -eu
. tests/models/lib.sh
for sizes in "" "-D layers=1" "-D layers=1 -D d=64 -D p=0" "-D kv=6 -D hd=10 -D d=33"; do
    nemocc tests/models/gqa.nm $sizes -o "$work/program"
    for seq in 1 33; do
        rm -rf "$work/run"
        (run_in run program --steps 60 --seq $seq) >/dev/null
        rows run | awk -F'[:,]' -v name="gqa $sizes seq $seq" '{loss[NR] = $4} END {
            printf "%s: %s to %s\n", name, loss[1], loss[NR]; exit !(loss[NR] < loss[1] - 0.5)}'
    done
    "$work/program" generate --checkpoint "$work/run/ckpt" --prompt "The " --max-tokens 20 >/dev/null
done
