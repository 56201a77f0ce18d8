#!/usr/bin/env bash
# Ranks that are lost, on a compiled model. One run is disturbed five times: each rank is killed once, one is stopped; who
# was lost, in what operation of which model line, is said within --comm-timeout, no rank stays behind, and --resume auto
# goes on. In the end its metrics and weights are, to the bit, those of the run that nobody disturbed. --restart does it by itself.
set -eu
. tests/mesh/lib.sh
build_model llama3 t
flags=(--data "$work/text" --tp 2 --pp 2 --micro-batch 1 --global-batch 8 --seq 48 --lr 2e-3 --warmup 5 --threads 1)

become() { # become FOLDER FLAGS...: a run in the folder
    local folder=$work/$1
    shift
    exec "$work/t" "${flags[@]}" --save "$folder/ckpt" --log-dir "$folder/logs" "$@"
}
newest() { readlink "$work/$1/ckpt/latest" || true; }
# hit FOLDER RANK SIGNAL: once the run $parent has saved again
hit() {
    local before
    before=$(newest "$1")
    until [ "$(newest "$1")" != "$before" ]; do
        [ -d "/proc/$parent" ] || { cat "$work/out" && return 1; }
        sleep 0.02
    done
    left=$(pgrep -P "$parent")
    kill -"$3" "$(sed -n "$(($2 + 1))p" <<<"$left")"
}
ends() { # ends CODE: the run $parent does, and no rank is left
    local code=0 pid
    wait "$parent" || code=$?
    [ $code -eq "$1" ] || { echo "code $code" && cat "$work/out" && return 1; }
    for pid in $left; do
        [ ! -d "/proc/$pid" ] || { echo "rank $pid is left" && return 1; }
    done
}
says() { # says PATTERN: in the one line of error
    grep '^error' "$work/out" || { cat "$work/out" && return 1; }
    [ "$(grep -c '^error' "$work/out")" -eq 1 ] || return 1
    grep -qE "$1" "$work/out"
}
operation='((all_gather|reduce_scatter|all_reduce)[^(]* \((models/llama3|std)\.nm:[0-9]+\)|(receive from|send to) rank [0-9] .+|barrier.*|none)'

(become calm --steps 160) >/dev/null
for rank in 0 1 2 3; do
    become hurt --steps 160 --save-every 5 --resume auto >"$work/out" 2>&1 &
    parent=$!
    hit hurt $rank KILL
    ends 1
    says "^error: rank $rank is gone \(killed by signal 9\) while the others wait in $operation; its last operation was $operation$"
done
become hurt --steps 160 --save-every 5 --resume auto --comm-timeout 2 >"$work/out" 2>&1 &
parent=$!
hit hurt 1 STOP
ends 1
says "^error: rank (1 has not entered $operation|[0-9] waits for .+ from rank 1, which has not sent it) for 2 s \(stopped\); its last operation was $operation$"
[ "$(newest hurt)" != step-000160 ] || { echo "it was at its end before the last hit" && exit 1; }
(become hurt --steps 160 --save-every 5 --resume auto) >"$work/out" 2>&1 || { cat "$work/out" && exit 1; }
grep -q "^resuming from " "$work/out" || { cat "$work/out" && exit 1; }
same_run calm hurt

# the ranks are started again, twice: once after a death, once after a stall
become again --steps 160 --save-every 5 --restart 2 --comm-timeout 2 >"$work/out" 2>&1 &
parent=$!
hit again 3 KILL
until grep -q '^starting the ranks again, 1 of 2 times' "$work/out"; do sleep 0.02; done
hit again 0 STOP
ends 0
grep -q '^starting the ranks again, 2 of 2 times' "$work/out" || { cat "$work/out" && exit 1; }
same_run calm again
