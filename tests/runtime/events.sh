#!/usr/bin/env bash
# --tensorboard: an event file beside metrics.jsonl with the same numbers, checksums and all; a resumed run begins
# another, with the mark that makes readers drop what the first has of the steps that are done again.
set -eu
. tests/runtime/lib.sh
events=$PWD/$build/tests/tools/events
flags=(--data "$work/text" --steps 12 --seq 16 --micro-batch 2 --eval-data "$work/text" --eval-every 6 --eval-samples 4
    --save "$work/ckpt" --save-every 8 --log-dir "$work/logs" --tensorboard)
files=("$work"/logs/events.out.tfevents.*)
"$fake" "${flags[@]}" >/dev/null
files=("$work"/logs/events.out.tfevents.*)
[ ${#files[@]} -eq 1 ]
"$events" "${files[0]}" >"$work/events"
[ "$(head -2 "$work/events")" = '{"step": 0, version brain.Event:2}
{"step": 1, session 1}' ]
# the same names and numbers, but for tokens' place and digits: a clock's are there, too
for name in step loss lr grad_norm tokens; do
    paste <(tail -n +3 "$work/events" | sed -E "s/.*\"$name\": ([^,}]*).*/\1/") <(sed -E "s/.*\"$name\": ([^,}]*).*/\1/" "$work/logs/metrics.jsonl") |
        awk -v name=$name '{ d = $1 / $2 - 1; if (d > 1e-6 || d < -1e-6) { print name ": " $0; exit 1 } } END { exit NR != 12 }'
done
[ "$(grep -c '"eval_loss"' "$work/events")" -eq 2 ]
[ "$(grep -cE '"tokens_per_s": [0-9.e+]+, "step_ms": [0-9.e+-]+, "mfu": ' "$work/events")" -eq 12 ]

rm -r "$work/ckpt/step-000012" "$work/ckpt/latest"
"$fake" --data "$work/text" --save "$work/ckpt" --log-dir "$work/logs" --tensorboard --resume auto >/dev/null
files=("$work"/logs/events.out.tfevents.*)
[ ${#files[@]} -eq 2 ]
"$events" "${files[1]}" >"$work/more"
[ "$(sed -n 2p "$work/more")" = '{"step": 9, session 1}' ]
[ "$(tail -n +3 "$work/more" | sed -E 's/.*"step": ([0-9]+),.*/\1/' | xargs)" = "9 10 11 12" ]
expect '--tensorboard needs --log-dir DIR' "$fake" "${flags[@]:0:4}" --tensorboard

# a disk that is full from the start ends no run, either
out=$(bash -c 'ulimit -f 0; exec "$@"' - "$fake" "${flags[@]:0:10}" --log-dir "$work/full" --tensorboard 2>&1) && exit 1
grep -q '^warning: cannot write .*/events.out.tfevents.*; what follows is kept in memory' <<<"$out"
grep -q '^done at step 12 of 12' <<<"$out"
grep -qE '^error: cannot write .*; its last [0-9]+ bytes are lost' <<<"$out"
