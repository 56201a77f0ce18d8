#!/usr/bin/env bash
# What each fusion is worth: all on, each off by --disable-pass, all off. Of a micro-batch of the sizes below: megabytes that kernels
# read and write (bench/fusion.py), and for the step's end, in f32 on processors and in bf16 on a GPU, whose program is planned
# and not run; what activations take on processors. And tokens per second of processor time, in f32 on one thread, with few
# tokens a step: the difference between two runs, each the best of three, so that neither the start nor who else uses the
# machine counts.
# Usage: bench/fusion.sh [tiny|124m|llama ...]     STEPS=4 (0: no runs)
set -eu
cd "$(dirname "$0")/.."
nemocc=build/bin/nemocc
[ -x $nemocc ] || { echo "bench: no $nemocc: run scripts/build.sh first" >&2; exit 1; }
[ $# -gt 0 ] || set -- tiny 124m llama
steps=${STEPS:-4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for _ in 1 2 3 4 5 6; do cat docs/*.md; done >"$work/text"

fixed='--fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1' # one text
fusions=$(sed -n 's/^FUSION(\([a-z]*\),.*/fuse.\1/p' passes/fusions.def)
every=$(echo head_chunks $fusions | tr ' ' ,)

sizes_of() { # model, its flags, and the dims of a micro-batch
    case $1 in
        tiny) model=gpt2 flags="--preset tiny" dims="batch=8 seq=256 layers=4" ;;
        124m) model=gpt2 flags="--preset 124m" dims="batch=8 seq=512 layers=12" ;;
        llama) model=llama3 dims="batch=8 seq=512 layers=4"
            flags="--preset tiny -D vocab=32000 -D d=512 -D heads=8 -D kv=4 -D hd=64 -D ff=1408 -D layers=4" ;;
        *) echo "bench: there is no model $1" >&2 && exit 2 ;;
    esac
}
moved() { # moved TARGET PRECISION FLAGS...
    $nemocc $model $flags $fixed --target "$1" --precision "$2" "${@:3}" --emit=plan -o "$work/plan"
    python3 bench/fusion.py $dims <"$work/plan" | sed 's/ / | /'
}
processor_time() { # processor_time STEPS: seconds, the least of three runs
    local TIMEFORMAT='%U'
    for _ in 1 2 3; do
        { time "$work/train_bin" --data "$work/text" --steps "$1" --threads 1 --micro-batch 2 --global-batch 2 --seq 128 \
            --log-dir "$work/logs" >/dev/null 2>&1; } 2>&1
    done | sort -n | head -1
}
speed() {
    [ "$steps" -gt 0 ] || { echo - && return; }
    local first last
    first=$(processor_time 1) last=$(processor_time $((1 + steps)))
    awk "BEGIN {printf \"%.0f\", 256 * $steps / ($last - $first)}"
}
row() { # row WHAT FLAGS...
    local batch=${dims#batch=} seq=${dims#*seq=} held
    $nemocc $model $flags $fixed --target host --precision f32 "${@:2}" -o "$work/train_bin"
    held=$("$work/train_bin" --dry-run --micro-batch "${batch%% *}" --seq "${seq%% *}" --data "$work/text" |
        awk '$1 == "activations" {print $2 / 1e6}')
    printf '| %s | %s | %s | %.1f | %s |\n' "$1" "$(moved host f32 "${@:2}")" "$(moved emu bf16 "${@:2}")" "$held" "$(speed)"
}
for name in "$@"; do
    sizes_of "$name"
    printf '\n%s (%s %s), %s\n\n' "$name" "$model" "$flags" "$dims"
    echo '| off | host f32: micro-batch, MB | step end, MB | GPU bf16: micro-batch, MB | step end, MB | activations, saved ones too, MB | tokens / processor second |'
    echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
    row 'nothing'
    for f in head_chunks $fusions bias_sums; do row "$f" --disable-pass="$f"; done
    row 'all of these' --disable-pass="$every,bias_sums"
done
