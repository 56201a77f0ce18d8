#!/usr/bin/env bash
# bench/gpu/check and bench, tried without a GPU: the host in the device's place. What is right is told as such, what is
# not fails: other losses, other bits the second time, a program that could not be compiled, a run that fails.
set -eu
command -v python3 >/dev/null || { echo "no python3: bench/gpu is not tried" && exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=${NEMOCC_BUILD:-build}
check() { # check CODE PATTERN ARGUMENT...: the table has the pattern
    local code=0
    bench/gpu/check --device host --precision "" --folder "$work/gpu" --programs gpt2_tiny --steps 3 $quick "${@:3}" >"$work/table" 2>/dev/null || code=$?
    [ "$code" -eq "$1" ] && grep -qE -- "$2" "$work/table" || { echo "code $code, no '$2' in" && cat "$work/table" && return 1; }
}
instead() { # instead SHELL...: the program, but for what the shell lines do
    { echo '#!/bin/sh' && printf '%s\n' "$@" && echo "exec '$work/real' \"\$@\""; } >"$work/gpu/gpt2_tiny"
    chmod +x "$work/gpu/gpt2_tiny"
}

bench/gpu/build --build "$build" --folder "$work/gpu" --target host --precision "" --cpu native --programs gpt2_tiny >"$work/out"
grep -qE '^gpt2_tiny +built' "$work/out"
quick=
check 0 '^6 of 6 rows are right'
grep -qE '^gpt2_tiny 64 --pp 2 +f32 .* ok$' "$work/table"
quick=--quick
check 0 '^2 of 2 rows are right' --out "$work/json"
check 0 '^gpt2_tiny 53 +f32 +3 .* ok$'
python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert len(r["rows"]) == 2 and r["machine"]["date"]' "$work/json/check.json"

bench/gpu/bench --device host --precision "" --dry --folder "$work/gpu" --out "$work/json" >"$work/table"
for row in 'gpt2_tiny B=2 T=64 +[0-9.e+]+ .* tokens/s' 'gpt2_tiny attention_grad +[0-9.e+-]+ .*TFLOP/s' 'gpt2_tiny AdamW +[0-9.e+-]+ .*GB/s' \
    'gpt2_tiny dot +[0-9.]+ .* 7[0-9] launches'; do
    grep -qE "^$row" "$work/table" || { echo "no '$row' in" && cat "$work/table" && exit 1; }
done
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["raw"]["kernels gpt2_tiny"]' "$work/json/bench.json"

mv "$work/gpu/gpt2_tiny" "$work/real"
instead 'case "$*" in *--check-memory*) set -- "$@" --seed 7 ;; esac'
check 1 'losses differ, gradients differ, a second run gives other bits'
instead 'case "$*" in *--check-memory*) echo "error: no such GPU" >&2 && exit 1 ;; esac'
check 1 'code 1: error: no such GPU'
check 1 'no time left' --seconds 1
rm "$work/gpu/gpt2_tiny"
check 1 'cannot run: No such file'
echo 'gpt2.nm:3:1: error: not lowered' >"$work/gpu/gpt2_tiny.failed"
check 1 'not compiled: gpt2.nm:3:1: error: not lowered'
code=0
bench/gpu/bench --device host --precision "" --dry --folder "$work/gpu" >"$work/table" || code=$?
[ $code -eq 1 ]
grep -q 'cannot run' "$work/table"
