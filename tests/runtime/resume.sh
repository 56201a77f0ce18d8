#!/usr/bin/env bash
# A resumed run has the flags of its checkpoint unless they are given again: it ends with the bits of a run that was
# never stopped, and every flag that differs is told.
set -eu
. tests/runtime/lib.sh
run=("$fake" --data "$work/text" --lr 0.3 --warmup 7 --min-lr 0.01 --momentum 0.8 --clip 0.5 --seq 24 --seed 9 --data-order sequential
    --micro-batch 2 --global-batch 4 --steps 40)
"${run[@]}" --save "$work/calm" --log-dir "$work/calm.log" >/dev/null
"${run[@]}" --save "$work/cut" --log-dir "$work/cut.log" --save-every 1 >/dev/null
rm -r "$work"/cut/step-0000[2-4]*
"$fake" --save "$work/cut" --log-dir "$work/cut.log" --resume auto >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
grep -q 'resuming from .*step-000019' "$work/out"
! grep -q 'note:' "$work/out" || exit 1
diff <(rows "$work/calm.log/metrics.jsonl") <(rows "$work/cut.log/metrics.jsonl")
diff <(tensors "$work/calm/latest") <(tensors "$work/cut/latest")
grep -q '"lr": 0.3,' "$work/cut/latest/index.json"

# killed between a checkpoint's rename and that of the link to it: the next run moves the link
ln -sfn step-000001 "$work/cut/latest"
"$fake" --save "$work/cut" --log-dir "$work/cut.log" --resume auto >/dev/null
[ "$(readlink "$work/cut/latest")" = step-000040 ]

cp "$work/text" "$work/other"
"${run[@]}" --steps 45 --lr 0.2 --data "$work/other" --lr-schedule cosine --save "$work/cut" --resume auto >"$work/out" 2>&1
grep -qx 'note: --lr 0.2 now, 0.3 in the checkpoint' "$work/out"
grep -qx 'note: --steps 45 now, 40 in the checkpoint' "$work/out"
grep -qx 'note: --lr-schedule cosine now, none in the checkpoint' "$work/out"
grep -qx "note: --data $work/other now, $work/text in the checkpoint" "$work/out"
[ "$(grep -c note: "$work/out")" -eq 4 ]
# what is taken over counts where flags are checked together
expect '--global-batch 4 is not a multiple of --micro-batch 3' "$fake" --micro-batch 3 --save "$work/cut" --resume auto

# So are the ways to compute, and the text to evaluate on.
units=$PWD/$build/runtime/fake_units
first=("$units" --data "$work/text" --seq 32 --micro-batch 2 --threads 1)
"${first[@]}" --eval-data "$work/other" --eval-every 2 --recompute full --keep-rounded-weights off --steps 2 --save "$work/ways" >/dev/null
again=("$units" --threads 1 --steps 4 --resume "$work/ways")
"${again[@]}" --log-dir "$work/ways.log" >"$work/out" 2>&1
grep -qx 'recomputation: full' "$work/out"
! grep 'note:' "$work/out" | grep -v -- '--steps 4 now, 2 in the checkpoint' || exit 1
grep -q '"step": 4,.*"eval_loss"' "$work/ways.log/metrics.jsonl"
expect '^note: --recompute none now, full in the checkpoint$' "${again[@]}" --recompute none
expect '^note: --keep-rounded-weights on now, off in the checkpoint$' "${again[@]}" --keep-rounded-weights on
expect '^note: --tf32 now, and not for the checkpoint$' "${again[@]}" --tf32
