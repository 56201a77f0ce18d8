#!/usr/bin/env bash
# The emulator's test kernels as a GPU gets them: clang, llc, ptxas. A spill, a wgmma that is "serialized" or a
# setmaxnreg that is "ignored" fails, and so does any other note of ptxas that costs speed.
set -u
if ! command -v ptxas >/dev/null; then
    echo "ptxas.sh: skipped: there is no ptxas on this machine"
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0

check() { # threads, arch, file, flags of the compiler
    local threads=$1 arch=$2 file=tests/emu/kernels/$3 out=$scratch/out
    shift 3
    clang-22 -std=gnu17 -O3 -Wall -Wextra -Wpedantic -Wshadow -Werror -ffreestanding -nogpulib -I. \
        -target nvptx64-nvidia-cuda -Xclang -target-feature -Xclang +ptx88 -Xclang -target-cpu -Xclang "$arch" \
        "$@" -S -emit-llvm -o "$out.ll" "$file" || { bad=1; return; }
    # Launch bounds: without them ptxas plans for 1024 threads and ignores setmaxnreg.
    sed -i -E "s/^(define .*ptx_kernel void [^{]*)\{/\1\"nvvm.maxntid\"=\"$threads\" \"nvvm.minctasm\"=\"1\" {/" "$out.ll"
    llc-22 -O3 -mcpu="$arch" -mattr=+ptx88 -o "$out.ptx" "$out.ll" || { bad=1; return; }
    if ! ptxas -arch="$arch" -v "$out.ptx" -o "$out.cubin" >"$out.log" 2>&1 ||
        grep -qE '[1-9][0-9]* bytes spill|[1-9][0-9]* bytes stack|serialized|injected|ignored|warning' "$out.log"; then
        echo "FAIL $file $* for $arch:"
        cat "$out.log"
        bad=1
    else
        echo "$file $* for $arch: $(grep -c 'Compiling entry' "$out.log") kernels, at most" \
            "$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$out.log" | sort -n | tail -1) registers"
    fi
}

for arch in sm_80 sm_90a; do
    check 128 $arch gemm_sm80.c
    check 128 $arch probe_sm80.c
done
check 128 sm_90a probe_sm90.c
for hd in 64 128; do
    check 384 sm_90a attn_fwd.c -DHD=$hd
    check 384 sm_90a attn_bwd.c -DHD=$hd
done
exit $bad
