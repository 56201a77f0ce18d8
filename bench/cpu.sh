#!/usr/bin/env bash
# GPT-2 124M on this machine's CPU, f32, two threads, B = 4, forward + backward + AdamW: nemocc's steps against those of
# PyTorch (eager and torch.compile) and JAX, in turns (bench/peers/drive.py), and where the rest of nemocc's time goes.
#   bench/cpu.sh [LENGTH ...]     (default 64 256 1024)
# BUILD (build); ROUNDS (8) steps of each in a pair; DROPOUT (0), the same in all; PEERS ("eager compile jax");
# PYTHON (python3), which needs the packages torch, jax and numpy, or those of the PEERS; JSON: a file to append rows to.
# Medians. `CPU ms` is the CPU time of all threads: on a machine with other work, compare that; a ratio above 1 means
# that the peer takes longer. `of peak` is 6 N + 12 L d T operations a token over CPU time, of what one thread's
# multiply-adds reach.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build} python=${PYTHON:-python3} drop=${DROPOUT:-0}
[ -x "$build/bin/nemocc" ] || { echo "bench: no $build/bin/nemocc: run scripts/build.sh first" >&2; exit 1; }
[ $# -gt 0 ] || set -- 64 256 1024
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

vl=4
! grep -qw avx2 /proc/cpuinfo || vl=8
! grep -qw avx512vl /proc/cpuinfo || vl=16
clang-22 -O1 -march=native -mprefer-vector-width=512 -ffp-contract=fast -DNM_VL=$vl -I. -o "$work/machine" bench/machine.c -lpthread
read -r peak reads updates <<<"$("$work/machine")"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "f32 multiply-adds: $peak GFLOP/s a thread; memory, two threads: $reads GB/s read, $updates GB/s updated as AdamW does"
echo "GPT-2 124M, B = 4, dropout $drop, vocabulary 50304; $(uptime | sed 's/.*load/load/')"

PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
"$build/bin/nemocc" models/gpt2.nm --preset 124m --target host --precision f32 -D "drop=$drop" -o "$work/train_bin"
# shellcheck disable=SC2086
"$python" bench/peers/drive.py --train-bin "$work/train_bin" --text "$work/text" --rounds "${ROUNDS:-8}" --dropout "$drop" \
    --peak "$peak" ${JSON:+--json "$JSON"} "$@" --peers ${PEERS-eager compile jax}
for t in "$@"; do
    echo "where the time of nemocc's threads goes, T = $t:"
    "$work/train_bin" --data "$work/text" --steps 4 --warmup 1 --micro-batch 4 --global-batch 4 --seq "$t" --trace "$work/trace.json" >/dev/null
    "$python" bench/peers/shares.py "$work/trace.json"
done
