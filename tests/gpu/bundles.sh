#!/usr/bin/env bash
# What a step of gpt2 launches for all parameters of its layers together: the norm's squared sums and what adds them up, the
# powers of AdamW and its updates; first values; casts of weights to bf16. On a mesh, too, where sizes are known at the launch.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gpt2=(nemocc models/gpt2.nm --preset tiny --target null)

"${gpt2[@]}" --emit=plan -o "$work/plan"
for want in before.1.one:2 after.1.one:2 before.1.mesh:2 after.1.mesh:3; do
    grep -q "^plan @train.finish.${want%:*}: ${want#*:} positions" "$work/plan" ||
        { echo "not $want:" && grep "^plan @train.finish" "$work/plan" && exit 1; }
done
grep -q '^plan @init.1.one: 1 positions' "$work/plan"

"${gpt2[@]}" --precision f32,bf16 -o "$work/gpt2"
for name in 'map.adamw (16 parameters)' 'row.together (16 kernels)' 'map.together (48 kernels)' 'map.together (6 kernels)'; do
    grep -qaF "$name" "$work/gpt2" || { echo "no kernel $name" && exit 1; }
done
