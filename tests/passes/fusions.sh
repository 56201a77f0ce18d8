#!/usr/bin/env bash
# What fuse does under a name is done when it is not switched off, and changes no bit of a run; docs/passes.md names all.
set -eu
. tests/models/lib.sh
export NEMOCC_PRECISION=f32
names=$(sed -n 's/^FUSION(\([a-z]*\),.*/fuse.\1/p' passes/fusions.def)
for name in $names; do
    grep -q "| \`$name\` |" docs/passes.md || { echo "docs/passes.md does not name $name" && exit 1; }
done

fixed="-D layers=1 --fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1" # one rank, so that one text is compiled
kernels() { # kernels MODEL FLAGS...: how many a program has
    nemocc "models/$1.nm" --preset tiny --target host $fixed "${@:2}" --emit=nmir | grep -c ' = group '
}
one_off() { # one_off MODEL NAME...: each makes more kernels
    local all
    all=$(kernels "$1")
    for name in "${@:2}"; do
        [ "$(kernels "$1" --disable-pass="$name")" -gt "$all" ] || { echo "$name does nothing in $1" && exit 1; }
    done
}
one_off gpt2 fuse.accumulate fuse.bias fuse.residual fuse.activation fuse.rows fuse.columns fuse.optimizer fuse.maps
one_off llama3 fuse.gate fuse.rotary

# Each alone, and all: two steps of an odd number of tokens, losses, gradient norms, weights and moments. gpt2 has no gated
# product, llama3 no bias, gemma2 four norms a layer and, of two layers, gradients that lie apart.
train() { # train NAME TARGET MODEL FLAGS...
    nemocc "models/$3.nm" --preset tiny --target "$2" $fixed "${@:4}" -o "$work/train_bin"
    (run_in "$1" train_bin --steps 2 --seq 37 --threads 1 --device "$2") >"$work/out" 2>&1
}
same_bits() { # same_bits TARGET MODEL NAMES FLAGS...: each of the names, a list of some is one
    train on "$1" "$2" "${@:4}"
    for name in $3; do
        train off "$1" "$2" --disable-pass="$name" "${@:4}"
        same_run on off >"$work/differs" || { echo "$name changes bits of $2 on $1" && cat "$work/differs" && exit 1; }
        rm -r "$work/off"
    done
    rm -r "$work/on"
}
every=$(echo head_chunks $names | tr ' ' ,)
same_bits host gpt2 "$names $every"
same_bits host llama3 "fuse.rotary $every"
same_bits host gemma2 "fuse.rows $every" -D layers=2
same_bits emu llama3 "$every"
same_bits emu gpt2 "epilogues bias_sums $every"
same_bits emu gemma2 epilogues
nemocc models/gpt2.nm --preset tiny --disable-pass=fuse.nothing -o "$work/no" 2>"$work/out" && exit 1
grep -q "no pass is called 'fuse.nothing'" "$work/out"
