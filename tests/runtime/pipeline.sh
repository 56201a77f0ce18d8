#!/usr/bin/env bash
# A program of five units (fake_units.c) gives the one-rank run's losses, gradient norms and evaluations on any
# mesh: stages, chunks of uneven turns, a value that passes all stages, an owner of two units, data cut over dp and
# cp. In memory full of NaNs, with sanitizers.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units_checked
flags=(--data "$work/text" --eval-data "$work/text" --eval-every 3 --eval-samples 18 --steps 6 --seq 32 --threads 1
    --micro-batch 2 --global-batch 12 --check-memory)

numbers() { # loss, gradient norm and evaluation of every step
    sed -E 's/.*"loss": ([^,]*),.*"grad_norm": ([^,]*),( "eval_loss": ([^,]*),)?.*/\1 \2 \4/' "$1/metrics.jsonl"
}
same() { # same FOLDER FOLDER: to 1e-5
    paste -d ' ' <(numbers "$1") <(numbers "$2") | awk '
        {n = NF / 2; rows++}
        {for (i = 1; i <= n; i++) {d = $i - $(i + n); if (d < 0) d = -d; if (d > 1e-5 * $i) {print "step", NR ":", $0; bad = 1}}}
        END {exit bad || rows != 6 || n < 2}'
}

"$units" "${flags[@]}" --log-dir "$work/one" >/dev/null
awk -F'[:,]' 'NR == 1 {first = $4} {last = $4} END {exit !(last < first / 2)}' "$work/one/metrics.jsonl"
while read -r mesh; do
    rm -rf "$work/mesh"
    "$units" "${flags[@]}" $mesh --log-dir "$work/mesh" >"$work/out" 2>&1 || { echo "$mesh:" && cat "$work/out" && exit 1; }
    same "$work/one" "$work/mesh" || { echo "$mesh differs" && exit 1; }
done <<'MESHES'
--pp 2
--pp 4
--pp 2 --vp 3 --micro-batch 1
--pp 3 --vp 2 --micro-batch 4
--pp 2 --dp 3
--pp 2 --tp 2
--pp 2 --cp 2 --micro-batch 3
--tp 2 --cp 2 --dp 2 --zero 0 --micro-batch 1
MESHES

# what cannot be is said before anything runs
expect '12 is not a multiple of --micro-batch 2 x dp 5' "$units" "${flags[@]}" --dp 5
expect 'to be a multiple of --pp 4' "$units" "${flags[@]}" --pp 4 --vp 2
expect '23 is more stages than l1 \(units.nm:1\) = 22' "$units" "${flags[@]}" --pp 23
expect 'the 4 ranks on this machine need .* --micro-batch [0-9]+ would fit' "$units" --data "$work/text" --pp 2 --dp 2 --micro-batch 20000000
# saved by one mesh, gone on with on another, with the global batch of the first
"$units" "${flags[@]}" --steps 3 --pp 2 --dp 2 --save "$work/ckpt" --log-dir "$work/moved" >/dev/null
"$units" --data "$work/text" --eval-data "$work/text" --eval-every 3 --eval-samples 18 --steps 6 --threads 1 --pp 3 --vp 2 --tp 2 \
    --micro-batch 1 --resume auto --save "$work/ckpt" --log-dir "$work/moved" >/dev/null 2>&1
same "$work/one" "$work/moved"

# eval data that become shorter under way, which some ranks meet: an evaluation says why it is none, on one rank as on
# several, the steps are what they were, and whole data are evaluated again
until_true() { # until_true COMMAND...: while the run $pid lasts
    until "$@"; do
        [ -d "/proc/$pid" ] || { echo "never: $*" && cat "$work/out" && return 1; }
        sleep 0.05
    done
}
step_losses() { sed -E 's/.*"loss": ([^,]*),.*/\1/' "$1/metrics.jsonl"; }
evaluated() { [ "$(cat "$1/metrics.jsonl" 2>/dev/null | grep -c eval_loss)" -ge "$2" ]; }
hurt() { # hurt FOLDER FLAGS...
    local folder=$work/$1
    shift
    cp "$work/text" "$work/eval"
    FAKE_SLEEP_MS=50 "$units" "${flags[@]}" --eval-data "$work/eval" --eval-every 1 --steps 2000 --log-dir "$folder" "$@" >"$work/out" 2>&1 &
    pid=$!
    until_true evaluated "$folder" 2
    truncate -s 400 "$work/eval"
    until_true grep -qE '^warning: step [0-9]+ is not evaluated: .*eval has become shorter: there is no byte [0-9]+$' "$work/out"
    cp "$work/text" "$work/eval"
    until_true evaluated "$folder" $(($(grep -c eval_loss "$folder/metrics.jsonl") + 3))
    kill -TERM $pid
    wait $pid || { cat "$work/out" && return 1; }
}
hurt alone
for mesh in "--pp 2 --dp 2" "--cp 2"; do
    rm -rf "$work/mesh"
    hurt mesh $mesh
    paste -d ' ' <(step_losses "$work/alone") <(step_losses "$work/mesh") | awk '
        NF == 2 {d = $1 - $2; rows++}
        NF == 2 && d * d > 1e-10 * $1 * $1 {print "step", NR ":", $0; bad = 1}
        END {exit bad || rows < 6}' || exit 1
done
