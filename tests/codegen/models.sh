#!/usr/bin/env bash
# GPT-2 and Llama 3 at their tiny presets, from the model file on: loss, every gradient, the update, the
# first values and the generator's step equal the f64 interpreter.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for model in gpt2 llama3; do
    nemocc "models/$model.nm" --preset tiny --stop-after=frontend --emit=nmir -o "$scratch/$model.nmir" || exit 1
    build/tests/programs_codegen_test "$scratch/$model.nmir" || exit 1
done
