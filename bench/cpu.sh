#!/usr/bin/env bash
# nemocc on this machine's CPU beside PyTorch (eager, and torch.compile in its variants) and JAX: f32, two threads.
#   bench/cpu.sh [LENGTH ...]     (default 64 256 1024)
# PARTS, by default all, in this order:
#   gpt2      forward + backward + AdamW of GPT-2 124M, B = 4, up to T = 256, in turns (bench/peers/drive.py)
#   llama     likewise two layers of Llama 3.2 1B with a vocabulary of 8192
#   generate  tokens/s at batch 1, of both, beside what reading the weights takes
#   long      GPT-2 at lengths beyond 256
#   shares    where the time of nemocc's threads goes
#   dropout   GPT-2 with dropout 0.1 in all, T = 256
# LIMIT (1800) seconds: no table is begun behind them, and what is left out is said; the longest takes about 10 minutes.
# BUILD (build); ROUNDS (6) steps of each at most, or what fits in SECONDS_OF (60) of a table, but at least 2; PEERS (1), 0 for
# nemocc alone; PYTHON (python3), which needs the packages torch, jax and numpy; OUT: a file for all that is printed, too; JSON: a file to
# append rows to. Compiled parts of torch are kept by torch from run to run: the first takes minutes more.
# Medians. `CPU ms` is the CPU time of all threads: on a machine with other work, compare that; a ratio above 1 means
# that the peer takes longer. `of peak` is 6 N + 12 L d T operations a token over CPU time, of what one thread's
# multiply-adds reach.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build} python=${PYTHON:-python3} parts=${PARTS-gpt2 llama generate long shares dropout} with=${PEERS:-1} limit=${LIMIT:-1800}
[ -x "$build/bin/nemocc" ] || { echo "bench: no $build/bin/nemocc: run scripts/build.sh first" >&2; exit 1; }
[ $# -gt 0 ] || set -- 64 256 1024
[ -z "${OUT:-}" ] || exec > >(tee "$OUT") 2>&1
short="" long=""
for t in "$@"; do
    if [ "$t" -le 256 ]; then short+=" $t"; else long+=" $t"; fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
all="eager,inductor,jax" # at once; at long samples less, for memory
[ "$with" != 0 ] || all=

vl=4
! grep -qw avx2 /proc/cpuinfo || vl=8
! grep -qw avx512vl /proc/cpuinfo || vl=16
clang-22 -O1 -march=native -mprefer-vector-width=512 -ffp-contract=fast -DNM_VL=$vl -I. -o "$work/machine" bench/machine.c -lpthread
read -r peak reads updates <<<"$("$work/machine")"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "f32 multiply-adds: $peak GFLOP/s a thread; memory, two threads: $reads GB/s read, $updates GB/s updated as AdamW does; $(uptime | sed 's/.*load/load/')"

PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
compile() { # OUTPUT MODEL FLAG...
    local out=$1 model=$2
    shift 2
    "$build/bin/nemocc" "models/$model.nm" --target host --precision f32 "$@" -o "$work/$out"
}
drive() { # BINARY MODEL DROPOUT LENGTH...: a table of each length
    local bin=$1 model=$2 drop=$3
    shift 3
    for t in "$@"; do
        [ "$SECONDS" -lt "$limit" ] || { echo "T = $t left out, after $SECONDS s"; continue; }
        local groups="$all"
        [ "$t" -le 256 ] || groups=${all/,jax/ jax}
        # shellcheck disable=SC2086
        "$python" bench/peers/drive.py --model "$model" --train-bin "$work/$bin" --text "$work/text" --rounds "${ROUNDS:-6}" \
            --seconds "${SECONDS_OF:-60}" --dropout "$drop" --peak "$peak" --search "$([ "$drop" = 0 ] && echo 64 || echo 0)" --choice "$work/inductor.$model" \
            ${JSON:+--json "$JSON"} "$t" --peers $groups
    done
}
compile gpt2 gpt2 --preset 124m -D drop=0
compile llama llama3 --preset 1b -D layers=2 -D vocab=8192 -D stretch=1.0

for part in $parts; do
    echo
    echo "== $part, after $SECONDS s"
    [ "$SECONDS" -lt "$limit" ] || { echo "left out"; continue; }
    case $part in
    # shellcheck disable=SC2086
    gpt2) drive gpt2 gpt2 0 $short ;;
    # shellcheck disable=SC2086
    llama) drive llama llama 0 $short ;;
    # shellcheck disable=SC2086
    long) drive gpt2 gpt2 0 $long ;;
    dropout)
        compile dropout gpt2 --preset 124m -D drop=0.1
        drive dropout gpt2 0.1 256
        ;;
    generate)
        for model in gpt2 llama; do
            "$work/$model" --data "$work/text" --steps 1 --warmup 0 --micro-batch 1 --seq 8 --save "$work/$model.ckpt" >/dev/null
            "$python" bench/peers/generate.py --model "$model" --train-bin "$work/$model" --checkpoint "$work/$model.ckpt" --machine "$work/machine" \
                $([ "$with" = 0 ] || echo --torch) ${JSON:+--json "$JSON"}
        done
        ;;
    shares)
        for t in "$@"; do
            echo "T = $t:"
            "$work/gpt2" --data "$work/text" --steps 2 --warmup 1 --micro-batch 4 --global-batch 4 --seq "$t" --trace "$work/trace.json" >/dev/null
            "$python" bench/peers/shares.py "$work/trace.json"
        done
        ;;
    *) echo "bench: no part $part" >&2; exit 1 ;;
    esac
done
echo
echo "$SECONDS s in all"
