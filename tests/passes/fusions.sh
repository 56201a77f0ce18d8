#!/usr/bin/env bash
# What fuse does under a name is done when it is not switched off, and what that changes of a run; docs/passes.md names all.
set -eu
. tests/models/lib.sh
export NEMOCC_TARGET=host NEMOCC_PRECISION=f32
names=$(sed -n 's/^FUSION(\([a-z]*\),.*/fuse.\1/p' passes/fusions.def)
for name in $names; do
    grep -q "| \`$name\` |" docs/passes.md || { echo "docs/passes.md does not name $name" && exit 1; }
done

fixed="-D layers=1 --fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1" # one rank, so that one text is compiled
kernels() { # kernels MODEL FLAGS...: how many a program has
    nemocc "models/$1.nm" --preset tiny $fixed "${@:2}" --emit=nmir | grep -c ' = group '
}
one_off() { # one_off MODEL NAME...: each makes more kernels
    local all
    all=$(kernels "$1")
    for name in "${@:2}"; do
        [ "$(kernels "$1" --disable-pass="$name")" -gt "$all" ] || { echo "$name does nothing in $1" && exit 1; }
    done
}
one_off gpt2 fuse.accumulate fuse.scatter fuse.bias fuse.residual fuse.activation fuse.rows fuse.columns fuse.optimizer fuse.maps
one_off llama3 fuse.gate fuse.rotary

# Behind a product nothing is summed otherwise: runs are the same to the bit. What moves a sum into another loop may add in
# another order. gpt2 has no gated product; llama3 has one, and no bias.
train() { # train NAME MODEL FLAGS...
    nemocc "models/$2.nm" --preset tiny $fixed "${@:3}" -o "$work/train_bin"
    (run_in "$1" train_bin --steps 2 --threads 1) >"$work/out"
}
for model in gpt2 llama3; do
    train $model.on $model
    train $model.products $model --disable-pass=fuse.rotary,fuse.accumulate,fuse.bias,fuse.residual,fuse.gate,fuse.activation
    train $model.off $model --disable-pass="$(echo head_chunks $names | tr ' ' ,)"
    same_run $model.on $model.products
    close_to <(losses $model.on) <(losses $model.off) 2 1e-6
done
nemocc models/gpt2.nm --preset tiny --disable-pass=fuse.nothing -o "$work/no" 2>"$work/out" && exit 1
grep -q "no pass is called 'fuse.nothing'" "$work/out"
