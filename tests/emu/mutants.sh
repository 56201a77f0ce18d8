#!/usr/bin/env bash
# Takes one synchronisation away from the attention kernels at a time, or makes one number wrong: the emulator, or the
# comparison with the reference, must notice each.
#   mutants.sh        a sixth of them, at head size 64
#   mutants.sh all    every one, at both head sizes
set -u
build=${NM_BUILD:-build}
all=${1:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
survivors=0 tried=0 seen=0

build_and_run() { # kernel, head size -> fails if the mutant is noticed; 2: it could not be built
    clang-22 -std=gnu17 -O1 -w -I. "-DHD=$2" -c "$scratch/$1.c" -o "$scratch/$1.o" || return 2
    clang-22 "$scratch/$1.o" -Wl,--start-group "$build"/lib/lib{emu_kernels_main,emu_kernels,emu_kernels_64,emu_kernels_128,nmemu}.a \
        -Wl,--end-group -lm -pthread -o "$scratch/test" || return 2
    timeout 120 "$scratch/test" "${1#attn_}" "$2"
}

try() { # kernel, what it was, sed script
    local hd rc verdict=SURVIVED said="" sizes=64
    seen=$((seen + 1))
    [ "$all" = all ] && sizes="64 128"
    [ "$all" = all ] || [ $((seen % 6)) -eq 1 ] || return 0
    sed "$3" "tests/emu/kernels/$1.c" >"$scratch/$1.c"
    cmp -s "tests/emu/kernels/$1.c" "$scratch/$1.c" && { echo "no such text: $3"; exit 2; }
    for hd in $sizes; do
        build_and_run "$1" "$hd" >"$scratch/out" 2>&1
        rc=$?
        [ $rc -eq 2 ] && { cat "$scratch/out"; exit 2; }
        [ $rc -ne 0 ] && verdict=found && said=$(grep -m1 FAIL "$scratch/out")
    done
    tried=$((tried + 1))
    [ $verdict = found ] || survivors=$((survivors + 1))
    printf '%-8s %s %-55s %s\n' $verdict "$1" "$2" "${said:0:140}"
}

# Each synchronisation, one after the other. (reg_inc is left out: without it a kernel is slow, or does not assemble.)
calls='wgmma_fence|wgmma_commit|wgmma_wait|mbar_wait|mbar_expect|mbar_init_fence|release|bar_sync|block_sync|fence_async|bulk_commit|bulk_wait_read|reg_dec'
for kernel in attn_fwd attn_bwd; do
    for line in $(grep -nE "^ *($calls)\(.*;" tests/emu/kernels/$kernel.c | cut -d: -f1); do
        try $kernel "$line: $(sed -n "${line}s/^ *//p" tests/emu/kernels/$kernel.c)" "${line}s/^\( *\)[a-z_]*(.*;/\1;/"
    done
done

# Wrong numbers.
try attn_fwd 'parity of an empty buffer'             's/parity ^ 1)/parity)/'
try attn_fwd 'parity of a full buffer'               's/(u32)i \/ STAGES & 1);$/((u32)i \/ STAGES \& 1) ^ 1);/'
try attn_fwd 'arrivals: one a warpgroup, not a warp' 's/, 8); \/\/ one arrival/, 2); \/\/ one arrival/'
try attn_fwd 'bytes of a tile'                       's/mbar_expect(bar.k_full + 8 \* s, KV)/mbar_expect(bar.k_full + 8 * s, KV - 16)/'
try attn_fwd 'stride of k'                           's/(k + i \/ 4 \* KV_COL + i % 4 \* 32, 16, 1024)/(k + i \/ 4 * KV_COL + i % 4 * 32, 16, 2048)/'
try attn_fwd 'step of k along the head'              's/(k + i \/ 4 \* KV_COL + i % 4 \* 32,/(k + i \/ 4 * KV_COL + i % 4 * 64,/'
[ "$all" = all ] && # at head size 64 there is one column: the lead is not read
    try attn_fwd 'lead of v'                         's/KV_COL, 1024), 1);/Q_COL, 1024), 1);/'
try attn_fwd 'stride of v'                           's/KV_COL, 1024), 1);/KV_COL, 2048), 1);/'
try attn_fwd 'first product keeps'                   's/i > 0);/1);/'
try attn_fwd 'swizzle of the output'                 's/stmatrix_x4(swizzle128(\(.*\)), r);/stmatrix_x4(\1, r);/'
try attn_fwd 'the mask'                              's/c > r))/c >= r))/'
try attn_fwd 'the tail'                              's/c >= len/c > len/'
try attn_fwd 'the running maximum'                   's/ex2((run->max\[r\] - m) \* scale)/1/'
try attn_fwd 'the rescaling of o'                    's/o\[k\] \*= run.rescale\[k >> 1 & 1\]/o[k] *= run.rescale[0]/'
try attn_bwd 'swizzle of dS'                         's/swizzle128(ds_at/(ds_at/'
[ "$all" = all ] &&
    try attn_bwd 'lead of k in dQ'                   's/desc_sw128(k + j \* 2048, KV_COL, 1024)/desc_sw128(k + j * 2048, HALF, 1024)/'
try attn_bwd 'the mask'                              's/key_row > row/key_row >= row/'
echo "$survivors of $tried survived"
[ "$tried" -gt 0 ] && [ "$survivors" -eq 0 ]
