#!/usr/bin/env bash
# What a user sees of each verb: training lowers the loss, the same flags give the same bits on any
# thread count of this machine, checkpoints are told apart, mistakes are told.
set -eu
. tests/runtime/lib.sh
other=$PWD/$build/runtime/fake_other units=$PWD/$build/runtime/fake_units
flags=(--data "$work/text" --steps 80 --micro-batch 4 --seq 32)

"$fake" "${flags[@]}" --save "$work/ckpt" --log-dir "$work/a" --check-memory >"$work/out"
awk -F'[:,]' 'NR == 1 {first = $4} {last = $4} END {exit !(last < first - 2)}' "$work/a/metrics.jsonl"
"$fake" "${flags[@]}" --threads 3 --log-dir "$work/b" >/dev/null
diff <(rows "$work/a/metrics.jsonl") <(rows "$work/b/metrics.jsonl")
# a global batch is the same however it is cut, to rounding
"$fake" "${flags[@]}" --micro-batch 1 --global-batch 4 --log-dir "$work/c" >/dev/null
paste <(sed 's/.*"loss": \([^,]*\),.*/\1/' "$work/a/metrics.jsonl") <(sed 's/.*"loss": \([^,]*\),.*/\1/' "$work/c/metrics.jsonl") |
    awk '{d = $1 - $2; if (d < -1e-3 || d > 1e-3) exit 1}'
# the logs of an earlier run are set aside, never overwritten
"$fake" "${flags[@]}" --steps 3 --log-dir "$work/a" >/dev/null
[ "$(wc -l <"$work/a/metrics.jsonl")" -eq 3 ]
[ "$(wc -l <"$work/a/metrics-1.jsonl")" -eq 80 ]
"$fake" "${flags[@]}" --eval-data "$work/text" --eval-every 40 --log-dir "$work/d" >/dev/null
[ "$(grep -c eval_loss "$work/d/metrics.jsonl")" -eq 2 ]
diff <(rows "$work/b/metrics.jsonl") <(rows "$work/d/metrics.jsonl" | sed -E 's/, "eval_loss": [^,]*//')

expect '^loss [0-9.]+$' "$fake" eval --checkpoint "$work/ckpt" --data "$work/text" --seq 32
whole=$(grep loss "$work/out")
expect "$whole" "$fake" eval --checkpoint "$work/ckpt" --data "$work/text" --seq 32 --micro-batch 1
generate=("$fake" generate --checkpoint "$work/ckpt" --prompt "the " --max-tokens 30)
[ "$("${generate[@]}" --seed 1)" = "$("${generate[@]}" --seed 1 --threads 1)" ]
[ "$("${generate[@]}" --seed 1)" != "$("${generate[@]}" --seed 2)" ]
[ "$("${generate[@]}" --temperature 0)" = "$("${generate[@]}" --top-p 0.000001)" ]
# what changes nothing is said
expect '^note: --fp8-recipe delayed changes nothing: it is of --precision fp8, and this run computes in f32$' "$fake" --dry-run --fp8-recipe delayed
expect '^note: --fp8-recipe delayed changes nothing: ' "${generate[@]}" --fp8-recipe delayed
expect '^note: --tf32 changes nothing: it is for GPUs$' "${generate[@]}" --tf32
expect '^note: --fp8-fast-accum 0 changes nothing: it is of --precision fp8, and this run computes in f32$' "$fake" --dry-run --fp8-fast-accum 0
expect '--fp8-fast-accum takes 0 or 1' "$fake" --dry-run --fp8-fast-accum 2
expect '^note: --keep-rounded-weights on changes nothing: this program, in f32, rounds no weights in micro-batches$' "$fake" --dry-run --keep-rounded-weights on
# prompt and cache: the text that was generated, given as a prompt, goes on alike
half=$("${generate[@]}" --temperature 0 --max-tokens 10)
[ "$("$fake" generate --checkpoint "$work/ckpt" --prompt "$half" --temperature 0 --max-tokens 20)" = "$("${generate[@]}" --temperature 0)" ]
expect 'context of 64 positions is full' "${generate[@]}" --max-tokens 100

expect 'step-000080 is of the model fake tiny; this binary is other tiny' "$other" eval --checkpoint "$work/ckpt" --data "$work/text"
expect 'other cannot generate: attention to both sides \(fake.nm:5\)' "$other" generate --checkpoint "$work/ckpt"
expect 'there is no checkpoint in' "$fake" generate --checkpoint "$work"
expect 'step-000080 is there already, from another run' "$fake" "${flags[@]}" --save "$work/ckpt"
expect 'nothing to do' "$fake" "${flags[@]}" --save "$work/ckpt" --resume auto
expect 'resuming from .*step-000080' "$fake" "${flags[@]}" --steps 90 --save "$work/ckpt" --resume auto
expect 'seq = 100 is above its maximum 64 \(fake.nm:2\)' "$fake" "${flags[@]}" --seq 100
printf 'short' >"$work/short"
expect 'one sample of seq = 64 needs 65' "$fake" --data "$work/short" --steps 1
expect 'No such file' "$fake" --data "$work/absent"
printf 'abc\377defghijk' >"$work/latin"
expect 'byte 255 at offset 3, of sample 0, is not below vocab = 128 \(fake.nm:1\)' "$other" --data "$work/latin" --seq 4 --steps 1 --micro-batch 2
# a file that is too large to be read before the run: what was done until then is saved
cp "$work/text" "$work/large"
printf '\377' | dd of="$work/large" bs=1 seek=240 conv=notrunc 2>/dev/null
truncate -s 1100M "$work/large"
expect 'of sample 10, .*; the run ends before step 5. The newest checkpoint is .*/step-000004$' "$other" --data "$work/large" --seq 24 \
    --micro-batch 2 --data-order sequential --save "$work/large.ckpt"
expect '--micro-batch [0-9]+ would fit' "$fake" --dry-run --micro-batch 20000000
expect 'optimizer state +98304 ' "$fake" --dry-run
expect '"parameters": 24576' "$fake" info --json
expect 'hyperparameters' "$fake" info
# dims of the model, and what sets them; neither a rank's parts of them nor axes
expect 'seq +\? +units.nm:2, from 1 to [0-9]+: --seq' "$units" info
expect '"dims": \{"vocab": 256, "batch": null, "seq": null\}' "$units" info --json
expect 'mesh: +one rank' "$fake" info --checkpoint "$work/ckpt"
expect '"step": 90, .*"mesh": "one rank", "files": 1, .*"tensors": 6, "pieces": 6' "$fake" info --checkpoint "$work/ckpt" --json
expect 'there is no checkpoint in' "$fake" info --checkpoint "$work"
expect 'checkpoint copy +196608 ' "$fake" --dry-run --save "$work/ckpt"
# a full disk: rows that cannot be written end no run, and are told when it is saved; 192 KiB are a checkpoint's
long=("$fake" --data "$work/text" --steps 2000 --micro-batch 1 --seq 4)
"${long[@]}" --log-dir "$work/roomy" >/dev/null
code=0
bash -c 'ulimit -f 200; exec "$@"' - "${long[@]}" --log-dir "$work/full" --save "$work/full" --save-every 1999 >"$work/out" 2>&1 || code=$?
[ $code -eq 1 ]
[ "$(grep -c 'warning: cannot write .*File too large; what follows is kept in memory until there is room again' "$work/out")" -eq 1 ]
grep -q 'done at step 2000 of 2000' "$work/out"
grep -qE '^error: cannot write .*File too large; its last [0-9]+ bytes are lost$' "$work/out"
[[ -e "$work/full/latest/index.json" && "$(readlink "$work/full/latest")" = step-002000 ]]
# a run that goes on with room has all rows of the steps that it does, behind those that are there
"${long[@]}" --log-dir "$work/full" --save "$work/full" --resume auto --steps 2010 >/dev/null 2>&1
rows "$work/full/metrics.jsonl" | awk -F'[:,]' '{ n += $2 > 2000 } END { exit n != 10 }'

# --check-memory finds a read of what was never written
export FAKE_FORGET=1
expect 'done at step 3' "$fake" "${flags[@]}" --steps 3
expect 'is nan; the run stops' "$fake" "${flags[@]}" --steps 3 --check-memory
unset FAKE_FORGET

# a damaged checkpoint is passed over, with the reason
"$fake" "${flags[@]}" --steps 40 --save "$work/hurt" --save-every 20 >/dev/null
printf 'x' | dd of="$work/hurt/step-000040/00000.safetensors" bs=1 seek=5000 conv=notrunc status=none
expect 'passing over .*step-000040.* is damaged: the checksum of here.w does not fit' "$fake" "${flags[@]}" --save "$work/hurt" --resume auto
grep -q 'resuming from .*step-000020' "$work/out"
