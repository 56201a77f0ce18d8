#!/usr/bin/env bash
# nemocc --hf-config: config.json as transformers 4 (llama, phi3) and 5 (llama_parameters) write it gives the sizes, keys that
# are not there mean what they mean to transformers, and what a model would compute differently is refused with key, value and line.
cd "$(dirname "$0")" || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

fail() {
    echo "FAIL $1"
    failed=$((failed + 1))
}

has() { # has MODEL CONFIG TEXT...: each text is in the module that the frontend gives
    local model=$1 config=$2 text
    shift 2
    nemocc "$model" --hf-config "config/$config.json" --emit=nmir --stop-after=frontend >"$scratch/nmir" 2>"$scratch/err" ||
        { fail "$model $config: $(cat "$scratch/err")"; return; }
    for text; do
        grep -qF -- "$text" "$scratch/nmir" || fail "$model $config: no '$text'"
    done
}

says() { # says MODEL CONFIG MESSAGE [OPTION...]: that is all it says
    local model=$1 config=$2 want=$3
    shift 3
    nemocc "$model" --hf-config "$config" --check "$@" >"$scratch/out" 2>&1
    grep -E '(error|warning): |^nemocc: ' "$scratch/out" | sed "s|^$config:||" >"$scratch/got"
    printf '%s\n' "$want" | sed '/^$/d' | diff -u --label expected --label got - "$scratch/got" || fail "$model $config $*"
}

at() { # at MODEL TEXT: the place of that text's first line
    echo "$1.nm:$(grep -nm1 -F -- "$2" "../../models/$1.nm" | cut -d: -f1)"
}

changed() { # changed CONFIG SED: the config, edited; its name
    sed "$2" "config/$1.json" >"$scratch/$1.json"
    cmp -s "config/$1.json" "$scratch/$1.json" && fail "'$2' changes nothing"
    echo "$scratch/$1.json"
}

has llama3 llama "vocab(pad = 128) = 128256" "d = 4096" "kv = 8" "hd = 128" "ff = 14336" "layers = 32" "%head.w:" "5e+05"
has llama3 llama_parameters "d = 64" "kv = 4" "hd = 16" "2e+04"
grep -q "head.w" "$scratch/nmir" && fail "llama_parameters is tied, and has a head"
has phi3 phi3 "d = 3072" "hd = 96" "window = 2047"
has gpt2 gpt2 "d = 768" "hd = 64" "ff = 3072" "context = 1024"
# theta beside the scaling, as transformers 5 takes it, too; two that differ are none
inside=$(changed llama 's/"factor"/"rope_theta": 70000.0, "factor"/; s/"rope_theta": 500000.0,//')
nemocc llama3 --hf-config "$inside" --emit=nmir --stop-after=frontend | grep -qF '7e+04' || fail "rope_theta in rope_scaling"
says llama3 "$(changed llama 's/"factor"/"rope_theta": 500.0, "factor"/')" \
    '17:19: error: "rope_scaling.rope_theta" is 500.0, and llama3 computes 500000.0 ('"$(at llama3 'rope_theta |')"') [map-5]'

# A folder; -D wins, and says so.
mkdir "$scratch/dir" && cp config/gpt2.json "$scratch/dir/config.json"
nemocc gpt2 --hf-config "$scratch/dir" --check || fail "a folder"
says gpt2 config/gpt2.json '3:58: warning: -D layers=2 is taken, not this' -D layers=2
says gpt2 config/gpt2.json 'nemocc: --preset and --hf-config are both all sizes: give one, and -D for what differs; see nemocc --help' --preset 124m

# What would be computed differently.
says gpt2 config/llama.json '11:17: error: "model_type" is "llama", and gpt2 computes "gpt2" ('"$(at gpt2 'n_embd: d')"') [map-5]'
says llama3 "$(changed llama 's/silu/gelu/')" '6:17: error: "hidden_act" is "gelu", and llama3 computes "silu" ('"$(at llama3 'hidden_act:')"') [map-5]'
says llama3 "$(changed llama 's/"llama3"/"linear"/')" \
    '21:18: error: "rope_scaling.rope_type" is "linear", and llama3 computes "llama3" or "default" ('"$(at llama3 'rope_type | type')"') [map-5]'
says llama3 "$(changed llama 's/"llama3"/"yarn"/; /_freq_/d')" \
    '19:18: error: "rope_scaling.rope_type" is "yarn", and llama3 computes "llama3" or "default" ('"$(at llama3 'rope_type | type')"') [map-5]'
says llama3 "$(changed llama 's/"attention_bias": false/"attention_bias": true/')" \
    '3:21: error: "attention_bias" is true, and llama3 computes false ('"$(at llama3 'hidden_act:')"') [map-5]'
says llama3 "$(changed llama '/original_max/d')" \
    '1:1: error: it lacks "rope_scaling.original_max_position_embeddings", and llama3 computes 8192 ('"$(at llama3 'original_max_position_embeddings:')"') [map-5]'
says phi3 "$(changed phi3 's/"rope_scaling": null/"rope_scaling": {"type": "longrope"}/')" \
    '4:28: error: "rope_scaling.type" is "longrope", and phi3 computes "default" ('"$(at phi3 'rope_type | type')"') [map-5]'
says gpt2 "$(changed gpt2 's/"n_embd": 768, //')" '1:1: error: it lacks "n_embd", which says '"'d'"' ('"$(at gpt2 'n_embd: d')"') [map-5]'
says gpt2 "$(changed gpt2 's/768/"768"/')" '3:28: error: "n_embd" is "768", and sets '"'d'"' ('"$(at gpt2 'd = 768')"'), which is a number [map-5]'

says llama3 "$(changed llama 's/500000.0/Infinity/')" '23:17: error: "rope_theta" sets '"'theta'"', and is not finite [map-5]'

says gpt2 "$(changed gpt2 's/"n_embd"/"n\\u005fembd"/')" ''
says gpt2 "$(changed gpt2 's/"n_embd": 768/"n_embd": 1, "n_embd": 768/')" ''
says gpt2 "$(changed gpt2 's/768/"7\\u00008"/')" '3:28: error: "n_embd" is "7\u00008", and sets '"'d'"' ('"$(at gpt2 'd = 768')"'), which is a number [map-5]'

# What is no config.json.
printf '{"n_embd": 768,' >"$scratch/cut.json"
says gpt2 "$scratch/cut.json" '1:16: error: this is not JSON: a key was expected'
printf '[1]' >"$scratch/list.json"
says gpt2 "$scratch/list.json" '1:1: error: a config.json is an object [map-5]'
says lstm config/gpt2.json 'nemocc: error: lstm has no weights map with a config block, by which --hf-config is read [map-5]'
[ "$failed" -eq 0 ]
