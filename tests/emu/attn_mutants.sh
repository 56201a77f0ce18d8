#!/usr/bin/env bash
# Takes one synchronisation away from attention's gpu templates at a time, or makes one number wrong: the emulator, or the
# comparison with the reference, must notice each.
#   attn_mutants.sh        one in twelve
#   attn_mutants.sh all    every one
set -u
build=${NM_BUILD:-build}
all=${1:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
survivors=0 tried=0 seen=0
gpu=codegen/templates/gpu
mkdir -p "$scratch/$gpu"

compile() { # source -> an object; a changed header or source is found in the scratch folder first
    local source=$1
    shift
    [ -f "$scratch/$source" ] && source=$scratch/$source
    clang-22 -std=gnu17 -O1 -w -DNM_VL=4 "$@" "-I$scratch" -I. -c "$source" -o "$scratch/$(basename "$source" .c).o"
}

build_and_run() { # test, templates, flags of the compiler -> fails if the mutant is noticed; 2: it could not be built
    local test=$1 names=$2 objects="" source
    shift 2
    for source in tests/emu/$test.c $(printf "$gpu/%s.c " $names) codegen/templates/math.c codegen/templates/random.c; do
        compile "$source" "$@" || return 2
        objects="$objects $scratch/$(basename "$source" .c).o"
    done
    clang-22 $objects "$build/lib/libnmemu.a" -lm -pthread -o "$scratch/test" || return 2
    timeout 120 "$scratch/test"
}

try() { # file, what it was, sed script, which templates: f32, mma, wgmma; with maps: maps, back
    local verdict=SURVIVED said="" which rc
    seen=$((seen + 1))
    [ "$all" = all ] || [ $((seen % 12)) -eq 1 ] || return 0
    sed "$3" "$gpu/$1" >"$scratch/$gpu/$1"
    cmp -s "$gpu/$1" "$scratch/$gpu/$1" && { echo "no such text: $3"; exit 2; }
    for which in $4; do
        case $which in
            f32) build_and_run attn_test "attn attn_grad" ;;
            mma) build_and_run attn_bf16_test "attn_bf16 attn_bf16_grad" ;;
            wgmma) build_and_run attn_bf16_test "attn_bf16 attn_bf16_grad" -DNMG_SM90A ;;
            maps) build_and_run attn_maps_test attn_bf16_maps -DNMG_SM90A ;;
            back) build_and_run attn_grad_maps_test "attn_bf16 attn_bf16_grad attn_bf16_grad_maps" -DNMG_SM90A ;;
        esac >"$scratch/out" 2>&1
        rc=$?
        [ $rc -eq 2 ] && { cat "$scratch/out"; exit 2; }
        [ $rc -ne 0 ] && verdict=found && said=$(grep -m1 FAIL "$scratch/out") && break
    done
    rm "$scratch/$gpu/$1"
    tried=$((tried + 1))
    [ $verdict = found ] || survivors=$((survivors + 1))
    printf '%-8s %s %-50s %s\n' $verdict "$1" "$2" "${said:0:140}"
}

# Each synchronisation, one after the other.
calls='block_sync|sync_four|await_own|bar_sync|warp_sync|publish|await|cp_async_wait|cp_async_commit|wgmma_fence|wgmma_commit|wgmma_wait|await_full|give_back|mbar_[a-z_]*'
each_call() { # file, which templates
    local line
    for line in $(grep -nE "^ *($calls)\(.*;" "$gpu/$1" | cut -d: -f1); do
        try "$1" "$line: $(sed -n "${line}s/^ *//p" "$gpu/$1")" "${line}s/^\( *\)[a-z_]*(.*;/\1;/" "$2"
    done
}
each_call attn_tile.h f32
each_call attn_grad.c f32
each_call attn_bf16.c "mma wgmma"
each_call attn_back.h "mma wgmma"
each_call attn_bf16_grad.c "mma wgmma"
each_call attn_wgmma.h wgmma
each_call attn_bf16_maps.c maps
each_call attn_ring.h maps
each_call attn_bf16_grad_maps.c back

# Wrong numbers.
try attn_pair.h 'who sees: causal'           's/k->pos <= q->pos/k->pos < q->pos/' f32
try attn_pair.h 'who sees: the window'       's/k->pos > q->pos -/k->pos >= q->pos -/' f32
try attn_pair.h 'rows behind the last'       's/\.there = r <= last/.there = true/' mma
try attn_pair.h 'keys behind the last'       's/\.there = j < x->n_k/.there = true/' mma
try attn_pair.h 'segments by position'       's/a->position ? y.pos : y.i/y.i/' f32
try attn_pair.h 'draws of the second chunk'  's/y.i >= d->half ? d->jump : 0/0/' f32
try attn_pair.h 'the slope of softcap'       's/1 - t \* t/1/' f32
try attn_tile.h 'elements behind the line'   's/from + c + i < to ? line/true ? line/' f32
try attn_tile.h 'columns of a slice'         's/c = from + b \* BLOCK;/c = b * BLOCK;/' f32
try attn.c      'the running maximum'        's/ex2((t->max\[i\] - max) \* LOG2E)/1/' f32
try attn.c      'the sink, once a row'       's/ \&\& me.other == 0 ? 1/ ? 1/' f32
try attn_grad.c 'delta'                      's/kept - y.delta/kept/' f32
try attn_grad.c 'rows that saw nothing'      's/blind ? 0 : //' f32
try attn_warp.h 'zeros behind a line'        's/there \&\& c < hd ? 16 : 0/there ? 16 : 0/' mma
try attn_warp.h 'nothing hidden: the tail'   's/ || j + keys > x->n_k//' mma
try attn_warp.h 'nothing hidden: the window' 's/key_at(a, j) > at.last/key_at(a, j) > at.first/' mma
try attn_warp.h "a pair's bit"               's/4 \* n + 2 \* c + i/4 * n + 2 * i + c/' mma
try attn_mma.h  'the second eight of keys'   's/mma_bf16(s\[n + 1\], a, b\[2\], b\[3\])/mma_bf16(s[n + 1], a, b[0], b[1])/' mma
try attn_wgmma.h 'the next column'           's/k \/ 4 \* OWN \* ROW/k \/ 4 * 8 * ROW/' wgmma
try attn_wgmma.h 'the lead of a sum'         's/column_bytes, 8 \* ROW), columns/ROW, 8 * ROW), columns/' wgmma
try attn_wgmma.h 'the swizzle'               's/swizzle128(tile + \(.*\));/(tile + \1);/' wgmma
try attn_bf16.c 'a row that has seen nothing' 's/max == NMK_LEAST ? 0 : //' mma
try attn_back.h 'dq in one pass: its element' 's/row \* hd + to, s/row * hd + at, s/' mma
try attn_mma.h  'across: the next own lines' 's/b_at + k \* 16 \* pair_line/b_at/' mma
try attn_wgmma.h 'across: the next own lines' 's/pairs + k \* 16 \* ROW/pairs/' wgmma
try attn_bf16_grad.c 'dq in one pass: cleared' 's/to\[i\] = 0/to[i] = to[i]/' mma
try attn_bf16_grad.c 'the other buffer'      's/buffer ^= 1/buffer ^= 0/' mma
try attn_ring.h 'the phase of a full tile'   's/STAGES \& 1);/STAGES \& 1 ^ 1);/' maps
try attn_ring.h 'the phase of an empty tile' 's/(i \/ STAGES \& 1) ^ 1/i \/ STAGES \& 1/' maps
try attn_ring.h 'bytes of a tile'            's/mbar_expect(full, bytes)/mbar_expect(full, bytes - 128)/' maps
try attn_bf16_maps.c 'which box'                  's/full, 64 \* (int)c, j/full, 64 * (int)c, j + 8/' maps
try attn_bf16_maps.c 'which column'               's/full, 64 \* (int)c, j/full, 32 * (int)c, j/' maps
try attn_ring.h 'arrivals of an empty tile'  's/CONSUMER_WARPS);/CONSUMER_WARPS \/ 2);/' maps
try attn_bf16_maps.c 'sums not scaled'            's/^ *shrink_sums(.*;//' maps
try attn_bf16_maps.c 'tiles that are not seen'    's/w.first = (u32)(first - j) \/ keys/w.first = 1/' maps
try attn_bf16_grad_maps.c 'which rows'            's/(int)r \/ g, kv/(int)r, kv/' back
try attn_bf16_grad_maps.c 'tiles that are seen'   's/there \&\& has_pairs(b->a, j, OWN, r)/there \&\& has_pairs(b->a, first, OWN, r)/' back
try attn_bf16_grad_maps.c 'whose keys'            's/int64_t j = first + (me.four - 1) \* OWN/int64_t j = first/' back
echo "$survivors of $tried survived"
[ "$tried" -gt 0 ] && [ "$survivors" -eq 0 ]
