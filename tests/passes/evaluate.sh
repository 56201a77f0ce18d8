#!/usr/bin/env bash
# No pass changes what a model computes: every model, with small sizes, is evaluated by the interpreter before and after each.
# Where a model takes minutes to evaluate, its row says so.
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
llama3             $small --precision bf16 --fast-casts
llama3             $small --target emu --precision fp8
gpt2               $gpt2 --precision fp8 --fp8-recipe blockwise
gpt2               $gpt2 --precision fp8 --fp8-recipe delayed
llama3_lora        $small --target emu
phi3               $small
gemma2             -D vocab=14 -D d=8 -D heads=2 -D kv=1 -D hd=4 -D ff=16 -D layers=6
gemma3             -D vocab=14 -D d=8 -D heads=2 -D kv=1 -D hd=4 -D ff=16 -D layers=8
lstm               -D vocab=11 -D d=6 -D layers=2
t5                 -D vocab=11 -D d=8 -D heads=2 -D hd=4 -D ff=12 -D enc_layers=2 -D dec_layers=2 -D context=8 -D absolute=true
t5                 -D vocab=11 -D d=8 -D heads=2 -D hd=4 -D ff=12 -D enc_layers=1 -D dec_layers=1 -D buckets=8
llava              $small -D vd=8 -D vheads=2 -D vhd=4 -D vff=8 -D vlayers=2 -D row=4 -D col=4 -D side=2 -D spot=5 --entry pretrain
titanet            -D speakers=5 -D emb=4 -D squeeze=4 -D focus=4 -D mel=8
sortformer         -D td=8 -D theads=2 -D thd=4 -D tff=8 -D tlayers=1 --stop-after=shard
fastconformer_ctc  -D vocab=9 -D d=8 -D heads=2 -D hd=4 -D sub=2 -D layers=1 -D mel=4
fastpitch          -D symbols=9 -D d=8 -D hd=4 -D ff=8 -D layers=1 -D mid=4 -D match=4 -D mel=4
mixtral            $small -D experts=4
gpt_oss            $small -D experts=5
hifigan            slow: convolutions over samples
std                slow: a library, of which all models are made
END
for model in models/*.nm; do
    grep -q "^$(basename "$model" .nm) " "$scratch/rows" || { echo "$model has no row here" && exit 1; }
done
evaluate() { # model, flags
    # shellcheck disable=SC2086
    nemocc "models/$1.nm" $2 --evaluate-each --verify-each --emit=plan -o "$scratch/plan" >"$scratch/said" 2>&1
}
while read -r model flags; do
    case $flags in
    slow:*) ;;
    *)
        evaluate "$model" "$flags" || { echo "$model $flags" && cat "$scratch/said" && exit 1; }
        cat "$scratch/said" >>"$scratch/all"
        ;;
    esac
done <"$scratch/rows"

# Each pass was seen to change a function that was evaluated before and after. Not those that make other functions of a step:
# they are held to the whole step's numbers.
for pass in $(nemocc --print-pipeline | awk '{print $2}'); do
    grep -q "^evaluate $pass  *[1-9]" "$scratch/all" && continue
    case $pass in
    autodiff) ;;   # tests/grads_test.c: central differences
    accumulate) ;; # tests/passes/steps_test.c
    decode) ;;     # tests/passes/decode_test.c
    units) ;;      # tests/passes/units_test.c
    recompute) ;;  # tests/passes/recompute_test.c
    stages) ;;     # adds a row to the mesh table: tests/passes/stages.nm, tests/models/defaults.sh
    fix) ;;        # --fix alone: tests/codegen/fix.sh
    *) echo "no model was changed, and evaluated before and after, by $pass" && exit 1 ;;
    esac
done
