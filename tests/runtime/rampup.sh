#!/usr/bin/env bash
# --rampup-batch-size: steps have the sizes that Megatron-LM's rule gives, on one rank and on pipelines whose slots
# are fewer in small steps; a resumed run goes on alike; what does not divide is refused.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units
flags=(--data "$work/text" --steps 24 --seq 16 --micro-batch 1 --global-batch 14 --rampup-batch-size 2,2,100)
losses() { sed -E 's/.*"loss": ([^,]*),.*/\1/' "$work/$1/metrics.jsonl"; }

"$units" "${flags[@]}" --log-dir "$work/one" >"$work/out"
grep -q ', 2 a step, steps from 2 samples to 14, by 2, over the first 100$' "$work/out"
# of start + floor(consumed / (samples / increments)) * increment, in Python
sizes="2 2 2 2 2 2 2 2 2 4 4 4 4 6 6 6 8 8 10 10 12 14 14 14"
[ "$(sed -E 's/.*"batch": ([0-9]+).*/\1/' "$work/one/metrics.jsonl" | xargs)" = "$sizes" ]
[ "$(tail -1 "$work/one/metrics.jsonl" | sed -E 's/.*"tokens": ([0-9]+).*/\1/')" -eq $((16 * ($(tr " " "+" <<<"$sizes")))) ]
for mesh in "--pp 2" "--pp 2 --vp 2 --keep-rounded-weights off" "--dp 2 --zero 2 --pp 2"; do
    "$units" "${flags[@]}" $mesh --log-dir "$work/mesh" >/dev/null 2>&1
    paste <(losses one) <(losses mesh) | awk '{ d = $1 - $2; if (d > 1e-5 || d < -1e-5) exit 1 } END { if (NR != 24) exit 1 }'
    rm -r "$work/mesh"
done
# a step of the run is that of a run whose steps all have this size
"$units" "${flags[@]:0:8}" --global-batch 2 --log-dir "$work/flat" >/dev/null
paste <(losses one | head -9) <(losses flat | head -9) | awk '{ d = $1 - $2; if (d > 1e-6 || d < -1e-6) exit 1 } END { if (NR != 9) exit 1 }'

"$units" "${flags[@]}" --log-dir "$work/two" --save "$work/ckpt" --max-seconds 1000 --save-every 11 >/dev/null
rm -r "$work/ckpt/step-000024" "$work/ckpt/step-000022" "$work/ckpt/latest"
"$units" --data "$work/text" --save "$work/ckpt" --resume auto --log-dir "$work/two" >"$work/out"
grep -q 'resuming from .*step-000011' "$work/out"
diff <(rows "$work/one/metrics.jsonl") <(rows "$work/two/metrics.jsonl")

expect 'steps from 2 samples to 14, by 2, over the first 100' "$units" "${flags[@]}" --dry-run
expect 'START and INCREMENT have to be multiples of 4, --micro-batch x dp x pp, as there is --vp' "$units" "${flags[@]}" --dp 2 --pp 2 --vp 2 --dry-run --global-batch 14
expect 'increments of 5 samples do not lead from 2 to --global-batch 14' "$units" "${flags[@]}" --rampup-batch-size 2,5,9
expect 'three numbers from 1 on, not .2,2.' "$units" "${flags[@]}" --rampup-batch-size 2,2
expect 'needs --global-batch N' "$units" --data "$work/text" --rampup-batch-size 2,2,9
