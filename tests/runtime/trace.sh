#!/usr/bin/env bash
# --trace: a file that a viewer can show, with every launch of the traced steps, of one rank or of eight; it changes no
# number, survives a run that is killed, and tools that listen to NVTX hear the same ranges.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units trace_check=$PWD/$build/tests/tools/trace_check
flags=(--data "$work/text" --seq 32 --micro-batch 2 --global-batch 12)
shows() { # shows PATTERN FILE RANKS [--open]: trace_check's report has a line with the pattern
    "$trace_check" "${@:2}" >"$work/report"
    grep -qE "$1" "$work/report" || { echo "no '$1' in" && cat "$work/report" && return 1; }
}

# the third step, or the last: every function and kernel of it, and what the pool's threads did
"$fake" "${flags[@]}" --steps 5 --trace "$work/t" --log-dir "$work/traced" >"$work/out"
grep -q "^trace: $work/t, " "$work/out"
shows '^rank 0: 1 steps, 14 functions, 39 kernels, ' "$work/t" 1
shows '^function train.micro: 6 calls, 30 kernels' "$work/t" 1
grep -q '"name": "step 3"' "$work/t"
grep -qE '"name": "[a-z_.0-9]+ fake.nm:[0-9]+", "cat": "kernel".*"model": "fake.nm:' "$work/t"
loss=$(sed -nE 's/.*"step": 3, "loss": ([^,]*),.*/\1/p' "$work/traced/metrics.jsonl")
grep -q '"name": "loss", "ph": "C".*"loss": '"$loss" "$work/t"
"$fake" "${flags[@]}" --steps 5 --log-dir "$work/plain" >/dev/null
diff <(rows "$work/plain/metrics.jsonl") <(rows "$work/traced/metrics.jsonl")
"$fake" "${flags[@]}" --steps 2 --trace "$work/t" >/dev/null
grep -q '"name": "step 2"' "$work/t"
"$fake" "${flags[@]}" --steps 6 --trace "$work/t" --trace-steps 2-4 --eval-data "$work/text" --eval-every 2 --save "$work/save" --save-every 2 >/dev/null
shows '^rank 0: 3 steps' "$work/t" 1
for what in '"evaluation", "cat": "phase"' '"copy for the checkpoint"' '"data", "cat": "copy"'; do
    grep -q "\"name\": $what" "$work/t"
done

# a process a rank, in one file, whatever it held before; queues, messages and waits among them
mesh=(--pp 2 --dp 2 --tp 2 --threads 1 --steps 4)
"$units" "${flags[@]}" "${mesh[@]}" --trace "$work/t" --trace-steps 2-3 --log-dir "$work/mesh" >/dev/null
[ "$(echo "$work/t"*)" = "$work/t $work/text $work/traced" ]
shows '^rank 0: 2 steps, 74 functions, 72 kernels, [0-9]+ shares, 14 collectives, 24 messages' "$work/t" 8
shows '^rank 7: 2 steps, 36 functions, 34 kernels, [0-9]+ shares, 10 collectives, 24 messages' "$work/t" 8
grep -q '"name": "process_name".*"pid": 5,.*"rank 5: pp 1, dp 0, tp 1"' "$work/t"
grep -q '"name": "wait: ' "$work/t"
"$units" "${flags[@]}" "${mesh[@]}" --log-dir "$work/untraced" >/dev/null
diff <(rows "$work/untraced/metrics.jsonl") <(rows "$work/mesh/metrics.jsonl")
"${units}_checked" "${flags[@]}" "${mesh[@]}" --trace "$work/t" >/dev/null
shows '^rank 7: 1 steps' "$work/t" 8

# a run that is killed leaves the steps that have ended
FAKE_SLEEP_MS=20 "$units" "${flags[@]}" "${mesh[@]}" --steps 1000 --trace "$work/killed" --trace-steps 1-1000 >/dev/null 2>&1 &
for _ in $(seq 200); do
    ! grep -qs '"step 2"' "$work/killed.rank-7" || break
    sleep 0.05
done
kill -KILL $!
wait $! || true
shows '^rank 0: [1-9]' "$work/killed" 1 --open

# a resumed run counts from its own start; one that begins behind the steps has no file
"$fake" "${flags[@]}" --steps 9 --save "$work/save" --resume auto --trace "$work/t" >/dev/null
grep -q '"name": "step 9"' "$work/t"
expect '^note: --trace-steps 2-4: this run begins behind them' "$fake" "${flags[@]}" --steps 10 --save "$work/save" \
    --resume auto --trace "$work/none" --trace-steps 2-4
[ ! -e "$work/none" ]

# a run that ends before them has none either, and says so; nor has one that does no step
FAKE_SLEEP_MS=20 "$units" "${flags[@]}" "${mesh[@]}" --steps 1000 --max-seconds 1 --trace "$work/none" --trace-steps 900 >/dev/null 2>"$work/out"
grep -q "^note: --trace $work/none: the run ended before step 900, so there is none" "$work/out"
[ -z "$(find "$work" -name 'none*')" ]
"$fake" "${flags[@]}" --dry-run --trace "$work/none" >/dev/null 2>"$work/out"
grep -q "^note: --trace $work/none changes nothing: a dry run does no step" "$work/out"
for verb in eval generate; do
    expect "^error: --trace is no flag of $verb" "$fake" $verb --trace "$work/none"
done
[ ! -e "$work/none" ]

for steps in 0 5-3 x 3- 3-x; do
    expect "^error: --trace-steps takes a step or two, as 3 or 3-5, not '$steps'" "$fake" "${flags[@]}" --trace "$work/t" --trace-steps $steps
done
expect '^error: --trace-steps 7: the run ends at step 6' "$fake" "${flags[@]}" --steps 6 --trace "$work/t" --trace-steps 7
expect '^error: --trace-steps needs --trace FILE' "$fake" "${flags[@]}" --trace-steps 7
expect '^error: --trace: cannot create /proc/nothing/t: ' "$fake" "${flags[@]}" --trace /proc/nothing/t
expect '^error: --trace: cannot create /proc/nothing/t: ' "$units" "${flags[@]}" "${mesh[@]}" --trace /proc/nothing/t
# a full disk ends no run
(ulimit -f 8 && exec "$fake" "${flags[@]}" --steps 3 --trace "$work/full") >"$work/out" 2>&1
grep -q "^warning: cannot write $work/full: File too large" "$work/out"

# NVTX: as many ranges are closed as are opened, under the names of the trace
cat >"$work/nvtx.c" <<'END'
#include <stdio.h>
int nvtxRangePushA(const char *name) { return fprintf(stderr, "push %s\n", name); }
int nvtxRangePop(void) { return fprintf(stderr, "pop\n"); }
END
mkdir "$work/nvtx"
clang-22 -shared -fPIC -o "$work/nvtx/libnvtx3interop.so.1" "$work/nvtx.c"
LD_LIBRARY_PATH=$work/nvtx "$fake" "${flags[@]}" --steps 3 --threads 1 --trace "$work/t" >/dev/null 2>"$work/ranges"
grep -q '^push train.micro$' "$work/ranges"
[ "$(grep -c '^push' "$work/ranges")" -eq "$(grep -c '^pop' "$work/ranges")" ]
[ "$(grep -c '^push' "$work/ranges")" -eq "$(grep -c '"ph": "X"' "$work/t")" ]
