#!/usr/bin/env bash
# generate with a tokenizer: one whose tokens are characters, with the ids that are their bytes, says the same as bytes do;
# it is found beside the checkpoint, and a text ends where generation_config.json says.
set -eu
. tests/runtime/lib.sh
"$fake" --data "$work/text" --steps 60 --micro-batch 4 --seq 32 --save "$work/ckpt" >/dev/null

tokenizer() { # ids of the characters from $1 on, a first id that differs by $2
    printf '{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"\\n": 10'
    for code in $(seq "$1" 126); do
        case $code in
            34 | 92) character="\\$(printf "\\$(printf %o "$code")")" ;;
            *) character=$(printf "\\$(printf %o "$code")x") character=${character%x} ;;
        esac
        printf ', "%s": %d' "$character" "$((code + $2))"
    done
    printf '}, "merges": []}, "decoder": {"type": "Fuse"}}\n'
}

mkdir "$work/own"
tokenizer 32 0 >"$work/own/tokenizer.json"
generate=("$fake" generate --checkpoint "$work/ckpt" --prompt "the " --max-tokens 40 --temperature 0)
bytes=$("${generate[@]}")
[ "$("${generate[@]}" --tokenizer "$work/own")" = "$bytes" ]
[ "$("${generate[@]}" --tokenizer "$work/own/tokenizer.json" --top-p 0.9 --temperature 1)" = "$("${generate[@]}" --tokenizer "$work/own" --top-p 0.9 --temperature 1)" ]

# beside the checkpoint, of the folder of checkpoints and of one of them
cp -r "$work/own" "$work/ckpt/companions"
tokenizer 32 1 >"$work/ckpt/companions/tokenizer.json"
shifted=$("${generate[@]}")
[ "$shifted" != "$bytes" ]
[ "$("${generate[@]}" --checkpoint "$work"/ckpt/step-*)" = "$shifted" ]
[ "$("${generate[@]}" --tokenizer "$work/own")" = "$bytes" ]

# the token that ends a text is not written, nor what would follow
said=${bytes#the }
last=${said:7:1}
printf '{"eos_token_id": [300, %d]}' "'$last" >"$work/own/generation_config.json"
[ "$("${generate[@]}" --tokenizer "$work/own")" = "the ${said%%"$last"*}" ]

expect '^error: --prompt is empty' "$fake" generate --checkpoint "$work/ckpt" --tokenizer "$work/own" --prompt ""
tokenizer 32 300 >"$work/own/tokenizer.json"
expect '^error: --prompt: token 416, by the tokenizer .*/own, is not below the model.s 256 tokens$' "${generate[@]}" --tokenizer "$work/own"
expect '^error: .*/text: no tokenizer has such a name; give a tokenizer.json' "${generate[@]}" --tokenizer "$work/text"
printf '{"model": {"type": "WordPiece"}}' >"$work/own/tokenizer.json"
expect '^error: .*/own/tokenizer.json: model: models of the type WordPiece are not supported$' "${generate[@]}" --tokenizer "$work/own"
printf '{"model": {' >"$work/own/tokenizer.json"
expect '^error: .*/own/tokenizer.json: not JSON at byte 11: ' "${generate[@]}" --tokenizer "$work/own"
printf 'IQ== 0\nIg== 1\n' >"$work/own/tokenizer.model"
expect "own/tokenizer.model is no SentencePiece model but tiktoken's list of ranks" "${generate[@]}" --tokenizer "$work/own/tokenizer.model"

# GPT-2's own files: found beside the weights, and what is refused of them
cp -r tests/fixtures/tokenizers/gpt2_plain "$work/gpt2"
gpt2=("${generate[@]}" --tokenizer "$work/gpt2")
expect '^error: .*: token 423, by the tokenizer .*, is not below the model.s 256 tokens$' \
    "$fake" generate --checkpoint "$work/ckpt" --tokenizer tests/fixtures/tokenizers/gpt2_added --prompt '<pad>'
refuses() { # refuses FILE TEXT PATTERN: such a file among them
    cp -r "$work/gpt2" "$work/spoilt"
    printf "$2" >"$work/spoilt/$1"
    expect "^error: .*/spoilt: $3" "$fake" generate --checkpoint "$work/ckpt" --tokenizer "$work/spoilt"
    rm -r "$work/spoilt"
}
refuses tokenizer_config.json '{"tokenizer_class": "RobertaTokenizer"}' 'its vocab.json is of a RobertaTokenizer'
refuses tokenizer_config.json "{\"tokenizer_class\": \"$(printf '%064d' 0)\"}" 'its vocab.json is of a class of a long name'
refuses tokenizer_config.json '{"add_bos_token": true}' 'add_bos_token is true'
refuses vocab.json '[]' 'vocab.json is not an object'
refuses vocab.json '{"a": 0}, "merges": []' 'vocab.json: not JSON at byte 8'
refuses merges.txt 'a b\na\n' 'model: merges: of merge 0 the pieces'
refuses merges.txt '! " #\n' 'model: merges: merge 0 is not two pieces'
refuses merges.txt '\377' 'merges.txt is not UTF-8'
refuses added_tokens.json '{"x": "y"}' 'added_tokens.json: a token has no id'
refuses special_tokens_map.json '{"bos_token": ""}' 'an added token is empty'
for file in tokenizer_config.json special_tokens_map.json; do
    for member in split_special_tokens=true model_specific_special_tokens='{"x": "y"}' extra_special_tokens='{"x": "y"}' image_token='"y"' \
        image_token='{"content": "y"}'; do
        refuses $file "{\"${member%%=*}\": ${member#*=}}" "$file: ${member%%=*} is read of a tokenizer.json alone"
    done
done
printf '{"split_special_tokens": false, "extra_special_tokens": {}, "add_bos_token": false, "bos_token": null}' >"$work/gpt2/special_tokens_map.json"
"${gpt2[@]}" --prompt '<|endoftext|>' >/dev/null
rm "$work/gpt2/merges.txt"
expect '^error: .*/gpt2 has neither tokenizer.json nor tokenizer.model, nor both vocab.json and merges.txt$' "${gpt2[@]}"
