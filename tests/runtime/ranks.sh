#!/usr/bin/env bash
# Ranks of a real run: one killed, one stopped, signals to the parent and to a rank, --restart, mistakes in the flags.
# Nothing hangs, what happened is said once, no process is left, and --resume auto goes on with the same numbers.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units
mesh=(--pp 2 --dp 2)
flags=(--data "$work/text" --steps 40 --seq 32 --threads 1 --micro-batch 2 --global-batch 12)
slow=(env FAKE_SLEEP_MS=60 "$units" "${flags[@]}" "${mesh[@]}" --save-every 5)

start() { # start FOLDER FLAG...: in the background, $parent; waits until its first checkpoint is there
    local folder=$1
    shift
    "${slow[@]}" --save "$folder" --log-dir "$folder.log" "$@" >"$work/out" 2>&1 &
    parent=$!
    for _ in $(seq 200); do
        [ -e "$folder/latest" ] && return
        sleep 0.05
    done
    cat "$work/out" && return 1
}
ranks() { pgrep -P "$parent"; }
rank() { ranks | sed -n "$(($1 + 1))p"; }
ends() { # ends CODE: the parent does, and nobody is left
    local code=0 left
    left=$(ranks)
    wait "$parent" || code=$?
    [ "$code" -eq "$1" ] || { echo "code $code" && cat "$work/out" && return 1; }
    for pid in $left; do
        [ ! -d "/proc/$pid" ] || { echo "rank $pid is left" && return 1; }
    done
}
says() { # says PATTERN: in one line of error, the only one
    [ "$(grep -c '^error' "$work/out")" -eq 1 ] && grep -qE "$1" "$work/out" || { cat "$work/out" && return 1; }
}
same() { # the run in FOLDER, resumed, is the calm one
    "$units" "${flags[@]}" "${mesh[@]}" --save "$1" --log-dir "$1.log" --resume auto >/dev/null
    diff <(rows "$work/calm.log/metrics.jsonl") <(rows "$1.log/metrics.jsonl")
}

"$units" "${flags[@]}" "${mesh[@]}" --log-dir "$work/calm.log" >"$work/out"
[ "$(grep -c 'done at step' "$work/out")" -eq 1 ] # rank 0 alone speaks

start "$work/killed"
kill -KILL "$(rank 3)"
ends 1
says '^error: rank 3 is gone \(killed by signal 9\) while the others wait in .+; its last operation was .+'
same "$work/killed"

start "$work/stalled" --comm-timeout 1
kill -STOP "$(rank 1)"
ends 1
says '^error: rank (1 has not entered .+|[0-9] waits for .+ from rank 1, which has not sent it) for 1 s \(stopped\); its last operation was .+'
same "$work/stalled"

start "$work/again" --restart 2
kill -KILL "$(rank 2)"
ends 0
grep -q '^starting the ranks again, 1 of 2 times' "$work/out"
grep -q '^resuming from ' "$work/out"
diff <(rows "$work/calm.log/metrics.jsonl") <(rows "$work/again.log/metrics.jsonl")

# a rank that computes for longer than --comm-timeout is no stuck one
env FAKE_CALLS=30 "$units" "${flags[@]}" "${mesh[@]}" --steps 1 --comm-timeout 1 >"$work/out" 2>&1 || { cat "$work/out" && exit 1; }
# nor in one launch; but where the launch sleeps, it is
env FAKE_LAUNCH=4 "$units" "${flags[@]}" "${mesh[@]}" --steps 1 --comm-timeout 1 >"$work/out" 2>&1 || { cat "$work/out" && exit 1; }
code=0
env FAKE_LAUNCH=-1 "$units" "${flags[@]}" "${mesh[@]}" --steps 1 --comm-timeout 1 --save "$work/stuck" --restart 1 >"$work/out" 2>&1 || code=$?
[ $code -eq 1 ] && [ "$(grep -cE '^error: rank [23] has not entered .+ for 1 s \(stuck\)' "$work/out")" -eq 1 ] ||
    { cat "$work/out" && exit 1; }
# when it has been started again as often as --restart says, that is said, too
sed -i '0,/^error/{/^error/d}' "$work/out"
says '^error: gave up after 1 restart: rank [23] has not entered .+ for 1 s \(stuck\)'

# before the first save of its own, a run that is started again goes on from where it began
kill_one() { # kill_one OUTPUT PATTERN: a rank of $parent, once the output has the pattern
    for _ in $(seq 200); do
        ! grep -q -- "$2" "$1" || break
        sleep 0.05
    done
    kill -KILL "$(rank 0)"
}
"${slow[@]}" --save "$work/later" --log-dir "$work/later.log" --save-every 0 --resume "$work/killed/step-000005" \
    --restart 1 --log-every 1 >"$work/out" 2>&1 &
parent=$!
kill_one "$work/out" 'step *8'
ends 0
[ "$(grep -c '^resuming from .*/killed/step-000005' "$work/out")" -eq 2 ] || { cat "$work/out" && exit 1; }
diff <(rows "$work/calm.log/metrics.jsonl" | tail -n +6) <(rows "$work/later.log/metrics.jsonl")

# a rank that is alone is started again, too
alone=(env FAKE_SLEEP_MS=60 "$units" "${flags[@]}")
"${alone[@]}" --log-dir "$work/alone.log" --steps 12 >/dev/null
"${alone[@]}" --log-dir "$work/alone.again" --steps 12 --save "$work/alone" --save-every 5 --restart 1 --log-every 1 \
    >"$work/out" 2>&1 &
parent=$!
kill_one "$work/out" 'step *7'
wait "$parent" || { cat "$work/out" && exit 1; }
grep -q '^starting the ranks again, 1 of 1 times' "$work/out"
diff <(rows "$work/alone.log/metrics.jsonl") <(rows "$work/alone.again/metrics.jsonl")

# the parent, a rank: either way all stop together, save, and it is no failure
start "$work/term"
kill -TERM "$parent"
ends 0
grep -q '^stopped at step' "$work/out"
same "$work/term"
start "$work/one"
kill -TERM "$(rank 1)"
ends 0
grep -q '^stopped at step' "$work/out"
same "$work/one"

# a parent that is killed takes its ranks along
start "$work/orphans"
left=$(ranks)
kill -KILL "$parent"
wait "$parent" || true
for _ in $(seq 40); do
    alive=$(for pid in $left; do [ ! -d "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status" || echo "$pid"; done)
    [ -n "$alive" ] || break
    sleep 0.05
done
[ -z "$alive" ]

# a rank's own failure, and one of the flags, are said once
code=0
"$units" "${flags[@]}" "${mesh[@]}" --data "$work/nothing" >"$work/out" 2>&1 || code=$?
[ $code -eq 1 ]
says "^error: cannot open $work/nothing: "
for missing in "--eval-data $work/nothing" "--resume $work/nothing" "--log-dir /proc/nothing"; do
    code=0
    "$units" "${flags[@]}" "${mesh[@]}" $missing >"$work/out" 2>&1 || code=$?
    [ $code -eq 1 ]
    says '^error: (cannot open|--resume: there is no checkpoint in|cannot create the folder) .*/nothing'
done
code=0
"$units" "${flags[@]}" --tp 3 --cp 3 >"$work/out" 2>&1 || code=$?
[ $code -eq 2 ]
grep -qE '^error: .* is not divisible by --tp 3$' "$work/out"
expect 'RANK=4 and WORLD_SIZE=4 contradict' env RANK=4 WORLD_SIZE=4 "$units" "${flags[@]}"
expect 'torchrun has started 2 ranks' env RANK=0 WORLD_SIZE=2 "$units" "${flags[@]}" --nproc 2
expect 'nobody says where rank 0 can be reached' env RANK=0 WORLD_SIZE=2 "$units" "${flags[@]}" --dp 2
expect 'not for those of mpirun' env PMI_RANK=0 PMI_SIZE=2 "$units" "${flags[@]}" --comm local
expect '--restart needs --save DIR' "$units" "${flags[@]}" --dp 2 --restart 1
expect '--restart is for ranks that this binary starts itself, not for those of torchrun' env RANK=0 WORLD_SIZE=2 "$units" "${flags[@]}" --dp 2 --restart 1 --save "$work/none"
expect '--sp takes 0 or 1' "$units" "${flags[@]}" --sp 2
for seconds in -3 0 nan soon 1e7; do
    expect "^error: --comm-timeout takes seconds, more than 0 and at most 1000000, not '$seconds'" "$units" "${flags[@]}" --comm-timeout $seconds
done
expect 'are not divisible by --tp 3' "$units" "${flags[@]}" --nproc 8 --tp 3
expect 'compiled for one rank, not for 2' "$fake" --data "$work/text" --dp 2

# a launcher hands on lines, also where it gives its ranks a terminal: no line is written over
mkfifo "$work/keys"
shown() {
    script -qec "$* $units ${flags[*]} --steps 3" /dev/null >"$work/out" <>"$work/keys" && grep -q "step 3/3" "$work/out" ||
        { cat "$work/out" && return 1; }
}
shown env
grep -q $'\033\\[K' "$work/out"
shown env RANK=0 WORLD_SIZE=1
! grep -q $'\033' "$work/out" || exit 1

# a full disk is the failure of all, told as whose part it is that has no room; the run goes on until its last save
code=0
(ulimit -f 20 && exec "$units" "${flags[@]}" "${mesh[@]}" --steps 4 --save "$work/full" --save-every 2) >"$work/out" 2>&1 || code=$?
[ $code -eq 1 ] || { cat "$work/out" && exit 1; }
says '^error: step 4 is not saved: cannot write .*/step-000004.part/00000.safetensors: File too large$'
grep -q '^warning: step 2 is not saved: cannot write ' "$work/out" && [ -z "$(ls "$work/full")" ] ||
    { ls "$work/full" && cat "$work/out" && exit 1; }

# ranks of a launcher that have been given different flags say which, and do not train apart
port=$((30000 + $$ % 2000))
launched() { # launched RANK FLAG...: one of two ranks
    local rank=$1
    shift
    RANK=$rank WORLD_SIZE=2 LOCAL_RANK=$rank LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port "$units" \
        "${flags[@]}" --dp 2 --global-batch 4 --steps 1 "$@"
}
pair() { # pair CODE "FLAGS OF 0" "FLAGS OF 1"
    local code=0 other=0 first
    launched 0 $2 >"$work/out" 2>&1 &
    first=$!
    launched 1 $3 >"$work/out.1" 2>&1 || other=$?
    wait $first || code=$?
    port=$((port + 1))
    [ $code -eq "$1" ] && [ $other -eq "$1" ] || { echo "codes $code, $other" && cat "$work/out" && return 1; }
}
cat "$work/text" "$work/text" >"$work/more"
pair 0 "--threads 1" "--threads 2 --log-every 3"
pair 2 "--lr 1e-4" "--lr 1e-1"
says '^error: the ranks have different flags: rank 1 has --lr 0\.1, rank 0 has --lr 0\.0001$'
pair 2 "" "--lr 1e-1 --seed 7"
says 'rank 1 has --seed 7, rank 0 has --seed 1234$'
pair 2 "" "--data $work/more"
says 'rank 1 has --data a file of [0-9]+ bytes, rank 0 has --data a file of [0-9]+ bytes$'
pair 2 "" "--data $work/nothing"
says 'rank 1 has --data a file that is not there, rank 0 has --data a file of [0-9]+ bytes$'
# what one of them alone cannot read is said with its name, what nobody can without
mkdir "$work/folder"
head -c "$(stat -c %s "$work/folder")" "$work/more" >"$work/as_long"
pair 1 "--data $work/as_long" "--data $work/folder"
says '^error: rank 1: .*/folder'
pair 1 "--data $work/nothing" "--data $work/nothing"
says "^error: cannot open $work/nothing: "
FAKE_LAUNCH=8 pair 0 "--dp 1 --pp 2 --comm-timeout 4" "--dp 1 --pp 2 --comm-timeout 4"
# flags that a checkpoint gave count as well
pair 2 "--resume $work/killed/step-000005" "--resume $work/later/step-000040"
says 'rank 1 has --resume'
