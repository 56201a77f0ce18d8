#!/usr/bin/env bash
# The compiler's tests again under ASan and UBSan, and the compiler itself on the models. The runtime's and the
# emulator's tests are always sanitized; emitted programs never are. Without shard_test, which takes 40 s:
# shard_graph_test and shard_random_test go the same ways.
set -eu
cmake -S . -B build/sanitized -G Ninja -DCMAKE_C_COMPILER=clang-22 -DNEMOCC_SANITIZE=ON >/dev/null
tests=$(find tests -name '*_test.c' ! -path 'tests/runtime/*' ! -path 'tests/templates/*' ! -path 'tests/emu/*' ! -name shard_test.c -exec basename {} .c \;)
cmake --build build/sanitized --target nemocc nemocc-opt $tests | tail -n 1
for t in $tests; do
    echo "$t"
    build/sanitized/tests/"$t"
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for model in gpt2 llama3 phi3; do
    build/sanitized/bin/nemocc models/$model.nm --preset tiny --verify-each --emit=plan -o "$scratch/plan"
done
build/sanitized/bin/nemocc models/gpt2.nm --preset tiny -o "$scratch/train_bin"
for model in models/*.nm; do build/sanitized/bin/nemocc --check "$model" || true; done 2>&1 | { ! grep -E 'AddressSanitizer|LeakSanitizer|runtime error'; }
