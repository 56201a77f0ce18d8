#!/usr/bin/env bash
# docs/kernels.md does what it says: its files and commands are taken out of it and run.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
ln -s "$PWD"/{runtime,tests,codegen,base} "$scratch"
ln -s "$(readlink -f build)" "$scratch/build"

block() { awk -v head='```'"$1" '$0 == "```" {inside = 0} inside; $0 == head {inside = 1}' docs/kernels.md; }
for file in softmax.c softmax_test.c; do
    block "c $file" >"$scratch/$file"
    [ -s "$scratch/$file" ]
done
cd "$scratch"
run() { block_of "$1" >commands && [ -s commands ] && bash -e commands >out 2>&1; }
block_of() { (cd "$OLDPWD" && block "sh $1"); }

run test || { cat out && exit 1; }
if run race; then echo "a race was not noticed" && exit 1; fi
grep -q 'st_shared_f32: race: shared address 0x400, warp 0: warp 1 may still read it' out
grep -q "race.c:$(grep -n 'st_shared_f32' race.c | sed -n '2s/:.*//p')" out
if command -v gdb >/dev/null; then
    run gdb && grep -qF '$1 = 37' out && grep -q fiber_main out || { cat out && exit 1; }
fi
run asan || { cat out && exit 1; }
if command -v ptxas >/dev/null; then
    run ptxas && grep -q ' 0 bytes spill stores' out || { cat out && exit 1; }
fi
