#!/usr/bin/env bash
# Speed of the kernel templates, one thread, against the machine's peak of multiply-adds.
#   bench/kernels/run.sh [gemm|attention|...]     VL=4|8|16 (default: the longest this machine has)
# Uses the templates of BUILD (default: build); nothing else of nemocc.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
if [ -z "${VL:-}" ]; then
    VL=4
    grep -qw avx2 /proc/cpuinfo && VL=8
    grep -qw avx512vl /proc/cpuinfo && VL=16
fi
cpu=$(case $VL in 4) echo x86-64-v2 ;; 8) echo x86-64-v3 ;; 16) echo x86-64-v4 ;; esac)
passes='internalize<preserve-gv=main>,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,default<O3>'
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for name in ${*:-gemm attention math}; do
    echo "== $name"
    clang-22 -std=gnu17 -I. -O1 -Xclang -disable-llvm-passes -emit-llvm -c -march="$cpu" -DNM_VL="$VL" \
        -mprefer-vector-width=512 -ffp-contract=fast -fno-math-errno -o "$out/$name.bc" "bench/kernels/$name.c"
    llvm-link-22 -o "$out/all.bc" "$out/$name.bc" "$build/codegen/templates/templates_$VL.bc"
    opt-22 -passes="$passes" -o "$out/opt.bc" "$out/all.bc"
    clang-22 -O1 -Xclang -disable-llvm-passes -o "$out/$name" "$out/opt.bc" "$build/codegen/templates/libtemplates.a" -lm
    "$out/$name"
done
