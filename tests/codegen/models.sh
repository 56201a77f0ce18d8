#!/usr/bin/env bash
# Models from their files on: loss, every gradient, the update, the first values and the generator's step equal the f64
# interpreter. GPT-OSS has experts and sinks, T5 a bias that is trained and dropout beside it.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# the running means of minimize's ema are states like others
sed 's/clip = 1.0/clip = 1.0 ema = 0.9/' tests/models/gqa.nm >"$scratch/ema.nm"
grep -q 'ema = 0.9' "$scratch/ema.nm" || exit 1
while read -r model flags; do
    [ -e "models/$model.nm" ] && file=models/$model.nm || file=$scratch/$model.nm
    # shellcheck disable=SC2086
    nemocc "$file" $flags --stop-after=frontend --emit=nmir -o "$scratch/$model.nmir" || exit 1
    build/tests/programs_codegen_test "$scratch/$model.nmir" || exit 1
done <<'END'
gpt2 --preset tiny
llama3 --preset tiny
gpt_oss -D vocab=14 -D d=16 -D heads=4 -D kv=2 -D hd=4 -D ff=16 -D layers=2 -D experts=5
t5 -D vocab=11 -D d=8 -D heads=2 -D hd=4 -D ff=12 -D enc_layers=1 -D dec_layers=1 -D buckets=8
ema -D vocab=11 -D d=12 -D hd=2 -D ff=16 -D layers=2
END
