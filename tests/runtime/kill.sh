#!/usr/bin/env bash
# kill -9 again and again, at whatever moment, with --resume auto after each: in the end the metrics
# and the weights are those of a run that nobody disturbed.
set -eu
. tests/runtime/lib.sh
export FAKE_SLEEP_MS=20
run() { # run NAME SAVE_EVERY
    exec "$fake" --data "$work/text" --steps 60 --micro-batch 2 --global-batch 4 --seq 32 --threads 2 --save "$work/$1/ckpt" \
        --save-every "$2" --keep 3 --log-dir "$work/$1/logs" --resume auto
}
(run calm 5) >/dev/null
for every in 5 1; do
    kills=0
    for i in $(seq 1 40); do
        (run "kill$every" $every) >>"$work/log" 2>&1 &
        pid=$!
        sleep "0.$((25 + (i * 37) % 40))"
        if ! kill -9 $pid 2>/dev/null; then
            wait $pid && break
        fi
        wait $pid 2>/dev/null && break
        kills=$((kills + 1))
    done
    echo "save-every $every: $kills kills"
    [ $kills -ge 2 ]
    (run "kill$every" $every) >>"$work/log" 2>&1
    [ "$(wc -l <"$work/kill$every/logs/metrics.jsonl")" -eq 60 ]
    diff <(rows "$work/calm/logs/metrics.jsonl") <(rows "$work/kill$every/logs/metrics.jsonl")
    diff <(tensors "$work/calm/ckpt/latest") <(tensors "$work/kill$every/ckpt/latest")
done
