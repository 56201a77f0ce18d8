#!/usr/bin/env bash
# The kernels of whole models, at the sizes that they are trained at, as GPUs get them: ptxas takes them without a spill or
# a stack frame, and says nothing that costs speed (a wgmma that is "serialized", a setmaxnreg that is "ignored").
# Kernels that are equal are assembled once (ptxas.awk).
#   ptxas.sh             of the models' texts for one GPU, the precisions below; most kernels for one of the architectures
#   ptxas.sh --all       everything: all models, texts and precisions, each kernel for each architecture
#   ptxas.sh MODEL...    as --all, of these
set -u
if ! command -v ptxas >/dev/null; then
    echo "ptxas.sh: skipped: there is no ptxas on this machine"
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/ptx" "$scratch/texts"
archs=sm_80,sm_90a,sm_100a
one_gpu="--fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1"

list() { # model, preset[:entry], precisions without --all (-: none; HiFi-GAN's thousand convolutions are like TitaNet's)
    cat <<'END'
gpt2 124m f32,bf16
llama3 8b f32,bf16
llama3_lora 8b bf16
phi3 mini_4k bf16
gemma2 2b bf16
gemma3 1b f32
lstm large f32,bf16
titanet large f32,bf16
llava vicuna_7b:finetune bf16
llava vicuna_7b:pretrain -
hifigan v1 -
t5 220m -
mixtral 8x7b -
gpt_oss 20b -
fastpitch ljspeech -
fastconformer_ctc large -
sortformer v1 -
END
}

emit() { # model, preset[:entry], precisions, flags: its kernels' text; a model that nemocc does not compile yet has none
    local name=$1_${2/:/_} preset=${2%:*}
    [ "$preset" = "$2" ] || set -- "$@" --entry "${2#*:}"
    nemocc "models/$1.nm" --preset "$preset" --arch "$archs" --precision "$3" "${@:4}" --emit=ptx \
        -o "$scratch/ptx/$name.ptx" >"$scratch/ptx/$name.log" 2>&1 && return
    rm -f "$scratch/ptx/$name.ptx"
    grep -m1 -E 'error: .* yet' "$scratch/ptx/$name.log" | sed "s/^/$name: none: /" && return
    cat "$scratch/ptx/$name.log"
    touch "$scratch/failed"
}

assemble() { # ARCH.N
    ptxas -arch="${1%.*}" -v "$scratch/texts/$1.ptx" -o "$scratch/texts/$1.cubin" >"$scratch/texts/$1.log" 2>&1 ||
        { cat "$scratch/texts/$1.log" && touch "$scratch/failed"; }
    rm -f "$scratch/texts/$1.cubin"
}
export -f emit assemble
export scratch archs

costs='[1-9][0-9]* bytes spill|[1-9][0-9]* bytes stack|serialized|injected|ignored|warning'
costly() { # what ptxas said of kernels, behind their names and titles
    grep -hE "Compiling entry|$costs" "$scratch"/texts/*.log | awk -v titles="$scratch/texts/titles" '
        BEGIN { while ((getline line < titles) > 0) { name = line; sub(/ .*/, "", name); title[name] = line } }
        /Compiling entry/ { split($0, part, "\047"); at = title[part[2]] " (" part[4] ")"; next }
        { print "FAIL " at ": " $0 }'
}

if [ $# -eq 0 ]; then
    all=0
    list | awk -v one="$one_gpu" '$3 != "-" { print $0, one }' >"$scratch/list"
else
    all=1
    [ "$1" != --all ] || set -- "$(list | cut -d' ' -f1 | sort -u)"
    list | awk -v models="$*" 'BEGIN { gsub(/\n/, " ", models) } index(" " models " ", " " $1 " ") { print $1, $2, "f32,bf16,fp8" }' >"$scratch/list"
fi
[ -s "$scratch/list" ] || { echo "ptxas.sh: no model is called $*" && exit 2; }
xargs -P "$(nproc)" -I{} bash -c 'emit {}' <"$scratch/list"
compgen -G "$scratch/ptx/*.ptx" >/dev/null || { [ ! -e "$scratch/failed" ]; exit; }
awk -v DIR="$scratch/texts" -v LINES=20000 -v ALL=$all -f tests/gpu/ptxas.awk "$scratch"/ptx/*.ptx
for text in "$scratch"/texts/*.ptx; do basename "$text" .ptx; done | xargs -P "$(nproc)" -I{} bash -c 'assemble {}'
echo "at most $(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$scratch"/texts/*.log | sort -n | tail -1) registers"
costly >"$scratch/costly"
cat "$scratch/costly"
[ ! -s "$scratch/costly" ] && [ ! -e "$scratch/failed" ]
