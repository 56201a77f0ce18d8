#!/usr/bin/env bash
# A corpus to .bin and .idx: nemocc-data against huggingface/tokenizers (encode_batch_fast, all processors), in turns on the
# same documents, with the same tokenizer; then all of a large corpus in one run, and again killed with -9 in the middle.
#   bench/tokenize.sh [MB [MB_PEER]]     the large corpus (default 1000) and the part of it for both (50)
# BUILD (build); WORKERS (0: all processors); PYTHON (python3), which needs the packages tokenizers (0.23) and numpy.
# `CPU s` is the time of all threads: on a machine with other work, compare that.
set -eu
cd "$(dirname "$0")/.."
mb=${1:-1000} mb_peer=${2:-50} python=${PYTHON:-python3}
data=${BUILD:-build}/bin/nemocc-data
[ -x "$data" ] || { echo "bench: no $data: run scripts/build.sh first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(--tokenizer "$work/tokenizer.json" --append-eod --workers "${WORKERS:-0}")

PATH=$PATH:/usr/games bible -f 'Gen1:1-Rev22:21' >"$work/text"
"$python" bench/peers/hf_tokenizers.py train "$work/text" "$work/tokenizer.json" 16000
"$python" bench/peers/hf_tokenizers.py corpus "$work/text" "$work/all.jsonl" "$mb"
head -c "${mb_peer}000000" "$work/all.jsonl" | sed '$d' >"$work/part.jsonl"
echo "$(nproc) processors; $(uptime | sed 's/.*load/load/')"

timed() { # timed NAME COMMAND...: its last line, time and memory
    local name=$1
    shift
    command time -f '%e %U %S %M' -o "$work/time" "$@" >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
    awk -v n="$name" -v b="$(stat -c %s "$corpus")" '{ c = $2 + $3; printf "%-28s %7.1f s  %7.1f MB/s  CPU %7.1f s  %7.1f MB/s of it  peak RSS %6.1f MiB\n", n, $1, b / $1 / 1e6, c, b / c / 1e6, $4 / 1024 }' "$work/time"
}

corpus=$work/part.jsonl
for round in 1 2 3; do
    rm -f "$work"/part.bin "$work"/part.idx
    timed nemocc-data "$data" tokenize "${flags[@]}" --out "$work/part" "$corpus"
    timed tokenizers "$python" bench/peers/hf_tokenizers.py encode "$work/tokenizer.json" "$corpus" "$work/peer.bin"
    cmp "$work/part.bin" "$work/peer.bin"
done
echo "the same tokens from both"

corpus=$work/all.jsonl
timed "all, in one run" "$data" tokenize "${flags[@]}" --out "$work/all" "$corpus"
seconds=$(cut -d' ' -f1 "$work/time")
kills=0
while [ ! -e "$work/killed.bin" ]; do
    { timeout -s KILL "$(awk -v s="$seconds" 'BEGIN { print s * 0.45 }')" "$data" tokenize "${flags[@]}" --out "$work/killed" "$corpus" >"$work/out" 2>&1; } 2>/dev/null || kills=$((kills + 1))
    grep -h '^note: going on' "$work/out" || true
done
cmp "$work/all.bin" "$work/killed.bin" && cmp "$work/all.idx" "$work/killed.idx"
echo "the same bytes after kill -9, $kills times"
