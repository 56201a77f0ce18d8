#!/usr/bin/env bash
# SIGTERM, SIGINT and SIGHUP save and exit 0; the run goes on from there and ends as if it had not been stopped.
# A loss that is no number ends the run and saves nothing. --max-seconds ends it in time.
set -eu
. tests/runtime/lib.sh
flags=(--data "$work/text" --steps 50 --micro-batch 2 --seq 32 --threads 1)
long=("${flags[@]}" --steps 12 --global-batch 200) # most signals come between micro-batches
"$fake" "${long[@]}" --save "$work/calm" --log-dir "$work/calm.log" >/dev/null
for signal in TERM INT HUP; do
    (exec "$fake" "${long[@]}" --save "$work/$signal" --log-dir "$work/$signal.log") >"$work/out" 2>&1 &
    pid=$!
    sleep 0.6
    kill -$signal $pid || true
    wait $pid
    grep -q 'stopped at step' "$work/out" || { cat "$work/out"; exit 1; }
    "$fake" "${long[@]}" --save "$work/$signal" --log-dir "$work/$signal.log" --resume auto >/dev/null
    diff <(rows "$work/calm.log/metrics.jsonl") <(rows "$work/$signal.log/metrics.jsonl")
    diff <(tensors "$work/calm/latest") <(tensors "$work/$signal/latest")
done

export FAKE_NAN_STEP=23
code=0
"$fake" "${flags[@]}" --save "$work/nan" --save-every 10 >"$work/out" 2>&1 || code=$?
unset FAKE_NAN_STEP
[ $code -eq 1 ]
grep -q 'the loss of step 23 is nan.*step-000020' "$work/out"
[ "$(ls "$work/nan")" = "$(printf 'latest\nstep-000010\nstep-000020')" ]

SECONDS=0
FAKE_SLEEP_MS=50 "$fake" "${flags[@]}" --steps 1000 --max-seconds 1 >"$work/out"
[ $SECONDS -le 3 ]

# so does an output whose reader is gone, also that of several ranks
for mesh in "" "--dp 2"; do
    rm -rf "$work/unread"
    (exec "$PWD/$build/runtime/fake_units" --data "$work/text" --steps 100000 --seq 32 --log-every 1 --save "$work/unread" $mesh 2>/dev/null) | head -1 >/dev/null
    [[ "$(readlink "$work/unread/latest")" == step-0* ]]
done

begun() { # begun FOLDER: waits until the run that logs there has made a step
    for _ in $(seq 200); do
        [ ! -s "$1/metrics.jsonl" ] || return 0
        sleep 0.05
    done
    return 1
}
endless=("$PWD/$build/runtime/fake_units" --data "$work/text" --steps 100000 --seq 32 --threads 1 --log-every 100000)

# SIGHUP comes twice where a shell's terminal is closed; under nohup it is nothing
for mesh in "" "--dp 2"; do
    rm -rf "$work/hup"
    "${endless[@]}" $mesh --micro-batch 50 --global-batch 1000 --save "$work/hup" --log-dir "$work/hup.log" >"$work/out" 2>&1 &
    pid=$!
    begun "$work/hup.log"
    kill -HUP $pid
    sleep 0.001
    kill -HUP $pid
    wait $pid
    [[ "$(readlink "$work/hup/latest")" == step-0* ]]
    rm -r "$work/hup.log"
    (trap '' HUP && exec "${endless[@]}" $mesh --log-dir "$work/hup.log") >"$work/out" 2>&1 &
    pid=$!
    begun "$work/hup.log"
    kill -HUP $pid
    sleep 0.5
    ! grep stopp "$work/out" || exit 1
    kill -TERM $pid
    wait $pid
    rm -r "$work/hup.log"
done

# a parent that cannot say so hands on a signal all the same, as where Ctrl-C ends a tee first
mkfifo "$work/tee"
"${endless[@]}" --dp 2 --save "$work/tee.saved" --log-dir "$work/tee.log" >"$work/tee" 2>&1 &
pid=$!
exec 3<"$work/tee"
begun "$work/tee.log"
exec 3<&-
kill -TERM $pid
wait $pid
[[ "$(readlink "$work/tee.saved/latest")" == step-0* ]]

# a second signal ends it at once
(FAKE_SLEEP_MS=900 exec "$fake" "${flags[@]}" --micro-batch 50 --save "$work/twice") >"$work/out" 2>&1 &
pid=$!
sleep 0.7
kill -TERM $pid
sleep 0.1
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code -eq 143 ]
[ -z "$(ls "$work/twice")" ]

# a signal in the middle of a long step is answered at once; the step is given up, and the run goes on as if it never began
flags=(--data "$work/text" --steps 3 --micro-batch 2 --global-batch 60000 --seq 32 --threads 1)
(exec "$fake" "${flags[@]}" --save "$work/long") >"$work/out" 2>&1 &
pid=$!
sleep 1
SECONDS=0
kill -TERM $pid
wait $pid
[ $SECONDS -le 2 ]
grep -qx 'stopping; a second signal exits without saving' "$work/out"
grep -q 'stopped at step 0 of 3' "$work/out"
grep -q '"step": 0, "samples": 0,' "$work/long/latest/index.json"
