# Shared by the mesh scripts: runs of one binary on many meshes, and how they compare with one rank's.
. tests/models/lib.sh
BUILD=${BUILD:-$PWD/build}

build_model() { # build_model MODEL NAME [FLAGS]: the tiny preset
    local model=$1 name=$2
    shift 2
    nemocc "models/$model.nm" --preset tiny "$@" -o "$work/$name"
}
# train NAME FOLDER FLAGS...: 20 steps of 8 samples, a checkpoint behind the first and the last. The first step's
# moments are its gradients, times a number: adamw.m = (1 - beta) g.
train() {
    local program=$work/$1 folder=$work/$2
    shift 2
    rm -rf "$folder"
    set -- --data "$work/text" --global-batch 8 --seq 48 --lr 2e-3 --warmup 5 --threads 1 --comm-timeout 60 "$@"
    "$program" "$@" --steps 1 --save "$folder/first" --log-dir "$folder/logs.first" >"$folder.out" 2>&1 &&
        "$program" "$@" --steps 20 --save "$folder/ckpt" --log-dir "$folder/logs" >>"$folder.out" 2>&1
}
# same_numbers A B: first-step gradients to 1e-5 of their norms, the 20 losses to 1e-4; says what differs.
same_numbers() {
    close_to <(losses "$2") <(losses "$1") 20 1e-4 &&
        "$BUILD/tests/tools/compare" --prefix optim.adamw.m. --tolerance 1e-5 "$work/$1/first" "$work/$2/first"
}
