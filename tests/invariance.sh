#!/usr/bin/env bash
# One binary, any mesh: every mesh gives the one-rank run's numbers: each gradient of the first step to 1e-5 of its
# norm, the losses of 20 steps to 1e-4, dropout included. Without --all: the covering list tests/mesh/covering.txt.
# Usage: tests/invariance.sh [--all] [MODEL ...]   (default gpt2 llama3)
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-$PWD/build} PATH=${BUILD:-$PWD/build}/bin:$PATH
. tests/mesh/lib.sh
all=
[ "${1:-}" != --all ] || { all=1 && shift; }
[ $# -gt 0 ] || set -- gpt2 llama3
meshes() { if [ "$all" ]; then awk -f tests/mesh/meshes.awk; else cat tests/mesh/covering.txt; fi; }
same=0 differ=0
for model in "$@"; do
    build_model "$model" "$model"
    train "$model" "$model.one" --micro-batch 1 || { cat "$work/$model.one.out" && exit 1; }
    while read -r mesh; do
        if train "$model" mesh --micro-batch 1 $mesh && why=$(same_numbers mesh "$model.one"); then
            same=$((same + 1))
        else
            differ=$((differ + 1))
            printf '%s %s: %s\n' "$model" "$mesh" "${why:-$(tail -3 "$work/mesh.out")}"
        fi
    done < <(meshes)
done
echo "$same meshes give the one-rank run's numbers, $differ do not"
[ "$differ" -eq 0 ]
