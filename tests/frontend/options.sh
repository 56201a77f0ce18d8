#!/usr/bin/env bash
# The command line: exit statuses, corrections of misspelt options, help that names every option.
nemocc=$(command -v nemocc) || { echo "no nemocc on PATH" >&2; exit 1; }
failed=0

expect() { # the exit status, words that stderr or stdout has to contain, then arguments
    local want=$1 words=$2 said status
    shift 2
    said=$("$nemocc" "$@" 2>&1)
    status=$?
    case $said in
        *"$words"*) [ "$status" -eq "$want" ] && return ;;
    esac
    printf 'nemocc %s: exit status %d, want %d; said: %s\n' "$*" "$status" "$want" "$said"
    failed=1
}

model=$(mktemp -d)/m.nm
echo 'dims d = 4, batch = ?   infer (x[batch, d]) { return x }   preset a { d = 8 }   preset b { }' >"$model"

expect 0 "nemocc 0." --version
expect 0 "--time-passes" --help
expect 0 "fuse" --print-pipeline
expect 2 "which model?"
expect 2 "did you mean --preset?" --presett a "$model"
expect 2 "did you mean --verify-each?" --verify-eech "$model"
expect 2 "there is no option --frobnicate" --frobnicate "$model"
expect 2 "--preset needs a value" "$model" --preset
expect 2 "--check takes no value" --check=1 "$model"
expect 2 "-D takes NAME=VALUE" -D d "$model"
expect 2 "did you mean x86-64-v3?" --cpu x86-64-v33 "$model"
expect 2 "did you mean nmir?" --emit=nmr "$model"
expect 2 "--arch: a name is missing in 'sm_80,,sm_90'" --target cuda --arch sm_80,,sm_90 "$model"
expect 2 "--arch: a name is missing in 'sm_80,'" --emit ptx --arch sm_80, "$model"
expect 2 "--arch names sm_80 twice" --target cuda --arch sm_80,sm_90a,sm_80 "$model"
expect 2 "--precision names bf16 twice" --precision bf16,bf16 "$model"
expect 2 "--target names host twice" --target host,null,host "$model"
expect 2 "--arch is of the target cuda, and the targets are host,null" --target host,null --arch sm_90a "$model"
expect 2 "--fp8-recipe is of the precision fp8, and the precisions are f32,bf16" --precision f32,bf16 --fp8-recipe delayed "$model"
expect 2 "--fp8-format is of the precision fp8, and the precisions are f32" --precision f32 --fp8-format e4m3 "$model"
expect 2 "--fast-casts is of bf16 and fp8, and the precisions are f32" --precision f32 --fast-casts "$model"
expect 0 "" --check --precision bf16 --fast-casts "$model"
expect 0 "" --check --precision fp8 --fp8-format e4m3 --fp8-recipe current,blockwise "$model"
expect 2 "--plain-products is of GPUs, and the targets are host" --target host --plain-products "$model"
expect 2 "--fast-attention-grad is of GPUs, and the targets are host" --target host --fast-attention-grad "$model"
expect 0 "" --check --target emu --plain-products "$model"
expect 2 "--emit nmir is of one program, and --precision is f32,bf16" --emit nmir --precision f32,bf16 "$model"
expect 2 "--emit graph is of one program, and --target is host,cuda" --emit graph --target host,cuda "$model"
expect 2 "one model at a time" "$model" other.nm
expect 1 "cannot read" --check no_such.nm
expect 1 "did you mean 'a'" --check --preset aa "$model"
expect 0 "" --check "$model" --preset a -D d=16
expect 0 "" --check -Dd=16 "$model"
expect 0 "func @infer" --emit=nmir --stop-after=frontend "$model"
expect 0 "# after frontend" --dump-after=frontend --stop-after=frontend --emit=nmir "$model"
expect 0 "<h2>@infer" --emit=graph "$model"
expect 1 "llava has 2 train entries, and a binary has one: pretrain, finetune" models/llava.nm --preset vicuna_7b
[ "$("$nemocc" --list-presets "$model")" = $'a\nb' ] || { echo "--list-presets"; failed=1; }
rm -r "$(dirname "$model")"
exit $failed
