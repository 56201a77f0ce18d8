#!/usr/bin/env bash
# Save on one mesh, go on on another, and again: the losses are those of a run on one rank that never stopped, and
# `info` says who saved. While files are written the next steps run, so a save every step is one of them.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units
flags=(--data "$work/text" --seq 32 --threads 1 --global-batch 12)

losses() { # loss and gradient norm of every step
    sed -E 's/.*"loss": ([^,]*),.*"grad_norm": ([^,]*),.*/\1 \2/' "$1/metrics.jsonl"
}
same() { # same FOLDER FOLDER STEPS: to 1e-5
    paste -d ' ' <(losses "$1") <(losses "$2") | awk -v steps="$3" '
        {for (i = 1; i <= 2; i++) {d = $i - $(i + 2); if (d < 0) d = -d; if (d > 1e-5 * $i) {print "step", NR ":", $0; bad = 1}}}
        END {exit bad || NR != steps}'
}

"$units" "${flags[@]}" --micro-batch 2 --steps 30 --log-dir "$work/one" >/dev/null
step=0
run=("$units" "${flags[@]}" --save "$work/ckpt" --save-every 1 --keep 2 --log-dir "$work/many" --resume auto)
while IFS='|' read -r mesh saved; do
    step=$((step + 3))
    "${run[@]}" $mesh --steps $step >"$work/out" 2>&1 || { echo "$mesh:" && cat "$work/out" && exit 1; }
    "$units" info --checkpoint "$work/ckpt" | grep -qx "mesh: *$saved" || { echo "$mesh: not $saved" && exit 1; }
    [ "$(ls "$work/ckpt" | grep -c step)" -eq 2 ]
    ! ls "$work/ckpt" | grep -q part || exit 1
done <<'MESHES'
--micro-batch 2|one rank
--pp 2 --micro-batch 2|tp 1, pp 2, cp 1, dp 1
--tp 2 --dp 2 --micro-batch 3|tp 2, pp 1, cp 1, dp 2
--pp 2 --vp 3 --micro-batch 1|tp 1, pp 2, cp 1, dp 1
--cp 2 --tp 2 --micro-batch 2|tp 2, pp 1, cp 2, dp 1
--pp 3 --vp 2 --micro-batch 4|tp 1, pp 3, cp 1, dp 1
--micro-batch 4|one rank
--pp 2 --tp 2 --micro-batch 1|tp 2, pp 2, cp 1, dp 1
--dp 3 --zero 0 --micro-batch 2|tp 1, pp 1, cp 1, dp 3
--micro-batch 3|one rank
MESHES
same "$work/one" "$work/many" 30

# a piece that one rank alone reads is damaged: all go back together
"${run[@]}" --tp 4 --micro-batch 2 --steps 32 >/dev/null
printf 'x' | dd of="$work/ckpt/step-000032/00003.safetensors" bs=1 seek=3000 conv=notrunc status=none
"${run[@]}" --tp 4 --micro-batch 2 --steps 33 >"$work/out" 2>&1
grep -q 'passing over .*step-000032: .* is damaged: the checksum of .* does not fit (00003.safetensors)' "$work/out"
grep -q 'resuming from .*step-000031, saved by tp 4, pp 1, cp 1, dp 1' "$work/out"
expect 'checkpoint copy' "$units" "${flags[@]}" --dry-run --save "$work/ckpt" --tp 8 --pp 4 --dp 6 --micro-batch 2
