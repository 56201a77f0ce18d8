#!/usr/bin/env bash
# Builds nemocc, nemocc-opt and nemocc-data in build/bin; does only what changed. Arguments go to CMake.
set -eu
cd "$(dirname "$0")/.."
generator=()
[ -e build/CMakeCache.txt ] || generator=(-G Ninja)
cmake -S . -B build "${generator[@]}" -DCMAKE_C_COMPILER=clang-22 "$@" >build.log 2>&1 || {
    cat build.log >&2
    exit 1
}
mv build.log build/configure.log
cmake --build build --target nemocc nemocc-opt nemocc-data
