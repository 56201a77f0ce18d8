#!/usr/bin/env bash
# Checkpoints know no mesh: one run goes from mesh to mesh, thirteen of them, and its losses, gradient norms and evaluations are
# those of one rank. `info` says who saved. What a mesh saved is evaluated by any other and generates; a mesh is deterministic.
set -eu
. tests/mesh/lib.sh
build_model gpt2 t
flags=(--data "$work/text" --global-batch 8 --seq 48 --lr 1e-3 --lr-schedule constant --warmup 5
    --threads 1 --eval-data "$work/text" --eval-every 2 --eval-samples 8)

go() { # go FOLDER FLAGS...: on in the folder
    local folder=$work/$1
    shift
    "$work/t" "${flags[@]}" --save "$folder/ckpt" --log-dir "$folder/logs" "$@" >"$work/out" 2>&1 || { echo "$*" && cat "$work/out" && return 1; }
}
numbers() { # loss, gradient norm and evaluation of every step
    sed -E 's/.*"loss": ([^,]*),.*"grad_norm": ([^,]*),( "eval_loss": ([^,]*),)?.*/\1 \2 \4/' "$work/$1/logs/metrics.jsonl"
}
same() { # same FOLDER FOLDER: to 1e-4, 26 steps
    paste -d ' ' <(numbers "$1") <(numbers "$2") | awk '
        {n = NF / 2; seen += n}
        {for (i = 1; i <= n; i++) {d = $i - $(i + n); if (d < 0) d = -d; if (!(d <= 1e-4 * $i)) {print "step", NR ":", $0; bad = 1}}}
        END {exit bad || NR != 26 || seen != 26 * 2 + 13}'
}

go one --micro-batch 1 --steps 26
steps=0
while IFS='|' read -r mesh saved; do
    steps=$((steps + 2))
    go many --micro-batch 1 $mesh --steps $steps --resume auto
    "$work/t" info --checkpoint "$work/many/ckpt" | grep -qx "mesh: *$saved" || { echo "$mesh: not $saved" && exit 1; }
done <<'MESHES'
--tp 2|tp 2, pp 1, cp 1, dp 1
--pp 2 --dp 2 --zero 3|tp 1, pp 2, cp 1, dp 2
--tp 4 --sp 0|tp 4, pp 1, cp 1, dp 1
--cp 2 --zero 2|tp 1, pp 1, cp 2, dp 1
--pp 2 --vp 2|tp 1, pp 2, cp 1, dp 1
--dp 4 --zero 2|tp 1, pp 1, cp 1, dp 4
--tp 2 --pp 3|tp 2, pp 3, cp 1, dp 1
--dp 2 --zero 0|tp 1, pp 1, cp 1, dp 2
--cp 2 --dp 2 --zero 3|tp 1, pp 1, cp 2, dp 2
--micro-batch 2|one rank
--tp 2 --cp 2 --pp 2|tp 2, pp 2, cp 2, dp 1
--dp 2 --zero 1 --pp 2 --vp 2|tp 1, pp 2, cp 1, dp 2
--tp 8|tp 8, pp 1, cp 1, dp 1
MESHES
same many one
"$BUILD/tests/tools/compare" --prefix optim. --tolerance 1e-4 "$work/many/ckpt" "$work/one/ckpt"

# any mesh evaluates what a mesh saved, and one rank lets it write
evaluate() { "$work/t" eval --checkpoint "$work/many/ckpt" --data "$work/text" --seq 48 --samples 16 --threads 1 "$@" 2>/dev/null | sed -n 's/^loss //p'; }
whole=$(evaluate --micro-batch 4)
for mesh in '--tp 2 --pp 2' '--dp 2 --cp 2 --zero 3' '--pp 2 --vp 2'; do
    parts=$(evaluate --micro-batch 2 $mesh)
    awk -v a="$whole" -v b="$parts" 'BEGIN {exit !(a > 0 && (a - b) ^ 2 < (1e-4 * a) ^ 2)}' || { echo "$mesh: $parts, not $whole" && exit 1; }
done
write() { "$work/t" generate --checkpoint "$work/$1/ckpt" --prompt "The " --max-tokens 30 --temperature 0; }
cmp <(write many) <(write one)

# the same mesh twice, to the bit
go first --micro-batch 1 --steps 6 --tp 2 --dp 2 --pp 2
go second --micro-batch 1 --steps 6 --tp 2 --dp 2 --pp 2
same_run first second
