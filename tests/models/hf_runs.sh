#!/usr/bin/env bash
# Foreign weights in runs: straight into what each rank of a mesh holds, companions beside checkpoints, an export of what
# a mesh has saved; and what is refused: other weights, other models, damage, a full disk.
set -eu
fixture=$PWD/tests/fixtures/hf/llama3 models=$PWD/models
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
printf 'The quick brown fox jumps over a!' >line
cat line line line line >text
sed 's/^    clip = 1.0$/&\n    ema = 0.9/' "$models/llama3.nm" >llama3.nm
grep -q 'ema = 0.9' llama3.nm
nemocc llama3.nm --hf-config "$fixture/config.json" -o llama3

fail() {
    echo "$1"
    exit 1
}

refuses() { # the code $1 and a text with $2, of a command
    local code=0 want=$1 pattern=$2
    shift 2
    "$@" >out 2>&1 || code=$?
    [ $code -eq "$want" ] && grep -qF -- "$pattern" out || fail "not refused with $want and '$pattern' but $code: $* $(cat out)"
}

# Every mesh evaluates them alike.
./llama3 eval --init "hf:$fixture" --data text --seq 32 --micro-batch 2 --json >one 2>note
for mesh in "--tp 2" "--pp 3" "--dp 2 --zero 3" "--tp 4 --dp 2 --micro-batch 1" "--cp 2"; do
    ./llama3 eval --init "hf:$fixture" --data text --seq 32 --micro-batch 2 $mesh --json >mesh 2>note
    awk -F'[:,]' 'NR == 1 { a = $2 } NR == 2 { d = $2 / a - 1; exit !(d < 1e-6 && d > -1e-6) }' one mesh || fail "$mesh: $(cat mesh)"
done

# Samples longer than max_position_embeddings are told of.
grep -q max_position note && fail "a note of 32 tokens: $(cat note)"
./llama3 eval --init "hf:$fixture" --data text --seq 96 >/dev/null 2>note
grep -q 'note: samples have 96 tokens, and .*/config.json says max_position_embeddings 64' note || fail "no note of 96 tokens: $(cat note)"
for verb in "generate --prompt The --max-tokens 1" "import --save unsampled"; do # those that have no samples say nothing
    ./llama3 $verb --init "hf:$fixture" >/dev/null 2>note
    grep max_position note && fail "a note of no samples, of $verb"
done

# Fewer samples than ranks: one has nothing to do, in chunks of 0 tokens.
./llama3 eval --init "hf:$fixture" --data line --seq 32 --json >one_sample 2>note
./llama3 eval --init "hf:$fixture" --data line --seq 32 --dp 2 --json >two_ranks 2>note
cmp one_sample two_ranks

# A step that changes nothing, saved by a mesh: the export has the bytes of the import, and finds its companions.
echo '{}' >special_tokens_map.json
cp -r "$fixture" weights
cp special_tokens_map.json weights
./llama3 export --init hf:weights --out imported >/dev/null
./llama3 --init hf:weights --data text --seq 32 --tp 2 --dp 2 --zero 3 --micro-batch 1 --steps 1 --lr 0 --min-lr 0 --warmup 0 \
    --save ckpt >start 2>&1
grep -q 'starting from hf:weights' start
cmp ckpt/companions/special_tokens_map.json special_tokens_map.json
./llama3 export --checkpoint ckpt --out exported >/dev/null
diff -r imported exported
./llama3 export --checkpoint ckpt --weights ema --out means >/dev/null # which began as the weights did
diff -r imported means
./llama3 export --checkpoint ckpt/latest --out parts --max-shard-size 40KB --dtype f32 >said
grep -q 'float32, .* in [3-9] files' said
grep -q '"dtype": "float32"' parts/config.json
./llama3 eval --init hf:parts --data text --seq 32 --micro-batch 2 --json >again 2>note
cmp one again
./llama3 generate --init hf:parts --prompt The --max-tokens 4 --temperature 0 >a
./llama3 generate --checkpoint ckpt --prompt The --max-tokens 4 --temperature 0 >b
cmp a b

# An import makes such a checkpoint without data, on any mesh; what begins with it needs the folder no more, and computes
# what begins with the folder does.
./llama3 import --init hf:weights --tp 2 --dp 2 --zero 3 --seq 32 --save begin >said
grep -q 'checkpoint: begin/step-000000' said
./llama3 export --checkpoint begin --out begun >/dev/null
diff -r imported begun
first="--data text --seq 32 --micro-batch 2 --steps 2 --warmup 0 --log-dir"
./llama3 --init hf:weights $first direct >/dev/null 2>&1
./llama3 --resume begin/latest $first later >/dev/null 2>note
grep 'in the checkpoint' note && fail "an import has no flags"
losses() { grep -o '"loss": [^,]*' "$1/metrics.jsonl"; }
[ "$(losses direct | wc -l)" -eq 2 ]
cmp <(losses direct) <(losses later)
refuses 2 'begin/step-000000 is there already' ./llama3 import --init hf:weights --save begin
refuses 2 '--save DIR is missing' ./llama3 import --init hf:weights
refuses 2 '--init hf:DIR is missing' ./llama3 import --save x
refuses 2 '--data is no flag of import' ./llama3 import --init hf:weights --save x --data text

./llama3 info >said
grep -q 'weights:  hf (.*llama3.nm:[0-9]*)$' said

# --init beside --resume auto: a checkpoint that is there goes before.
again="--init hf:weights --data text --seq 32 --micro-batch 2 --lr 0 --min-lr 0 --warmup 0 --save twice --resume auto"
./llama3 $again --steps 1 >start 2>/dev/null
grep -q 'starting from hf:weights' start
./llama3 $again --steps 2 >start 2>/dev/null
grep -q 'resuming from twice/step-000001' start

# A run that goes on in another folder takes its companions with it.
./llama3 --resume ckpt/latest --data text --seq 32 --micro-batch 2 --steps 2 --lr 0 --min-lr 0 --save ckpt2 >/dev/null 2>&1
cmp ckpt2/companions/config.json weights/config.json

# What is refused names the place, and leaves nothing behind.
sed -i 's/"silu"/"gelu"/' weights/config.json
refuses 1 'hidden_act is "gelu", and this binary was compiled for "silu"' ./llama3 eval --init hf:weights --data text --seq 32
sed -i 's/"gelu"/"silu"/; s/"rope_type": "llama3"/"rope_type": "linear"/' weights/config.json
refuses 1 'rope_parameters.rope_type is "linear"' ./llama3 eval --init hf:weights --data text --seq 32
rm weights/config.json
refuses 0 'there is no weights/config.json' ./llama3 eval --init hf:weights --data text --seq 32
rm weights/model-00003*
refuses 1 'weights/model-00003-of-00005.safetensors' ./llama3 --init hf:weights --data text --seq 32 --tp 2 --save new
[ ! -e new ]
refuses 1 'model_type is "gpt2"' ./llama3 eval --init "hf:$fixture/../gpt2" --data text --seq 32
refuses 1 'there is no folder weights/absent here, and nothing is downloaded' ./llama3 generate --init hf:weights/absent
refuses 1 'weights/special_tokens_map.json is not a folder' ./llama3 generate --init hf:weights/special_tokens_map.json
refuses 2 "has no weights map called 'peft'; it has hf" ./llama3 generate --init "peft:$fixture"
refuses 2 '--init takes hf:DIR' ./llama3 --init "$fixture" --data text
refuses 2 'both name weights' ./llama3 eval --init "hf:$fixture" --checkpoint ckpt --data text
refuses 2 'exported is there already, and is no empty folder' ./llama3 export --checkpoint ckpt --out exported
refuses 2 "'.' is not the name of something to write" ./llama3 export --checkpoint ckpt --out .
sed 's/: "BF16"/: "I32"/' begin/companions/tensors.json >damaged
mv damaged begin/companions/tensors.json
refuses 1 'is of I32, which is no weight' ./llama3 export --checkpoint begin --out x
refuses 2 '--max-shard-size takes bytes' ./llama3 export --checkpoint ckpt --out x --max-shard-size 5XB
refuses 2 '--out DIR is missing' ./llama3 export --checkpoint ckpt

# A disk without room for it, as the limit on files looks like one; what a kill may have left is not touched.
trap '' XFSZ
refuses 1 'cannot write full.part/model.safetensors: File too large' bash -c "ulimit -f 40; ./llama3 export --checkpoint ckpt --out full"
[[ ! -e full && ! -e full.part ]]
mkdir full.part
echo mine >full.part/model.safetensors
refuses 1 'full.part is there already' ./llama3 export --checkpoint ckpt --out full
grep -q mine full.part/model.safetensors
rm -r full.part
mkdir full
./llama3 export --checkpoint ckpt --out full >/dev/null
diff -r full exported
