#!/usr/bin/env bash
# examples/pass builds against an installed nemocc alone, its own test passes, and an LSTM trains with it to the same losses.
set -eu
cd "$(dirname "$0")/../.."
. tests/models/lib.sh
cmake --install build --prefix "$work/nemocc" >/dev/null
cp -r examples/pass "$work/pass"
export PATH=$work/nemocc/bin:$PATH
cd "$work/pass"
cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=clang-22 -DCMAKE_C_FLAGS='-Wall -Wextra -Wpedantic -Wshadow -Werror' \
    -DCMAKE_PREFIX_PATH="$work/nemocc" >log || { cat log; exit 1; }
ninja -C build >log || { cat log; exit 1; }
ctest --test-dir build --output-on-failure >log || { cat log; exit 1; }

nemocc lstm -D vocab=256 -D d=24 -D layers=2 -o "$work/turns"
nemocc lstm -D vocab=256 -D d=24 -D layers=2 --load-pass build/scan_grads.so --verify-each -o "$work/once"
for how in turns once; do
    "$work/$how" --data "$work/text" --steps 6 --seq 24 --log-dir "$work/$how.run/logs" >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
    losses $how.run >"$work/$how.losses"
done
close_to "$work/turns.losses" "$work/once.losses" 6 1e-5
