#!/usr/bin/env bash
# No pass changes what a model computes: every model, with small sizes, is evaluated by the interpreter before and after each.
# Where a model cannot be compiled yet, or takes minutes to evaluate, its row says why.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
small="-D vocab=14 -D d=8 -D heads=4 -D kv=2 -D hd=4 -D ff=16 -D layers=2"
gpt2="${small/-D kv=2/} -D context=8"
cat >"$scratch/rows" <<END
gpt2               $gpt2
gpt2               $gpt2 --target emu
gpt2               ${gpt2/vocab=14/vocab=48} --head-chunk 2
gpt2               $gpt2 --target emu --precision bf16
llama3             $small
llama3             $small --precision bf16
llama3             $small --target emu --precision fp8
gpt2               $gpt2 --precision fp8 --fp8-recipe blockwise
gpt2               $gpt2 --precision fp8 --fp8-recipe delayed
llama3_lora        $small --target emu
phi3               $small
gemma2             -D vocab=14 -D d=8 -D heads=2 -D kv=1 -D hd=4 -D ff=16 -D layers=6
gemma3             -D vocab=14 -D d=8 -D heads=2 -D kv=1 -D hd=4 -D ff=16 -D layers=20
lstm               -D vocab=11 -D d=6 -D layers=2
t5                 -D vocab=11 -D d=8 -D heads=2 -D hd=4 -D ff=12 -D enc_layers=2 -D dec_layers=2 -D context=8 -D absolute=true
llava              $small -D vd=8 -D vheads=2 -D vhd=4 -D vff=8 -D vlayers=2 -D row=4 -D col=4 -D side=2 -D spot=5 --entry pretrain
titanet            -D speakers=5 -D emb=4 -D squeeze=4 -D focus=4 -D mel=8
sortformer         -D td=8 -D theads=2 -D thd=4 -D tff=8 -D tlayers=1 --stop-after=shard
mixtral            not: combine has no gradient
gpt_oss            not: combine has no gradient
fastconformer_ctc  not: extern has no gradient
fastpitch          not: extern has no gradient
hifigan            not: 40 seconds, of convolutions over samples
std                not: a library
END
for model in models/*.nm; do
    grep -q "^$(basename "$model" .nm) " "$scratch/rows" || { echo "$model has no row here" && exit 1; }
done
while read -r model flags; do
    case $flags in not:*) continue ;; esac
    # shellcheck disable=SC2086
    nemocc "models/$model.nm" $flags --evaluate-each --emit=plan -o "$scratch/plan" >"$scratch/said" 2>&1 || { echo "$model $flags" && cat "$scratch/said" && exit 1; }
    cat "$scratch/said" >>"$scratch/all"
done <"$scratch/rows"

# Each pass was seen to change something that was evaluated, but for those that the models here have no use for.
for pass in $(nemocc --print-pipeline | awk '{print $2}'); do
    grep -q "^evaluate $pass  *[1-9]" "$scratch/all" && continue
    case $pass in
    fix) ;; # --fix alone
    *) echo "no model was evaluated before and after $pass" && exit 1 ;;
    esac
done
