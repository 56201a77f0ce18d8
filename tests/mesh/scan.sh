#!/usr/bin/env bash
# Scans on meshes: inside a pipeline's repeat, along a dim that cp and tp split, over weights that tp splits, beside a
# repeat whose dim is in the row tp. One rank's losses to 1e-6 and its last step's gradients to 1e-5 of their norms.
set -eu
. tests/mesh/lib.sh
micro=1

build() { # build NAME ROWS FLAGS: a tiny lstm with these rows
    local name=$1 rows=$2
    shift 2
    sed "s/^mesh .*/mesh { $rows }/" models/lstm.nm >"$work/$name.nm"
    nemocc "$work/$name.nm" -D vocab=256 -D d=16 -D layers=4 "$@" -o "$work/$name"
}
go() { # go NAME FOLDER FLAGS: three steps of several micro-batches
    local program=$work/$1 folder=$work/$2
    shift 2
    rm -rf "$folder"
    "$program" --data "$work/text" --micro-batch $micro --global-batch 8 --seq 12 --steps 3 --threads 1 --eval-data "$work/text" --eval-every 3 --eval-samples 8 \
        --save "$folder/ckpt" --log-dir "$folder/logs" "$@" >"$work/out" 2>&1 || { echo "$program $*" && cat "$work/out" && return 1; }
}
numbers() { grep -oE '"(eval_)?loss": *[^,}]*' "$work/$1/logs/metrics.jsonl" | sed 's/.*: *//'; } # three losses and eval's
same() { # same NAME FLAGS: as one rank
    local name=$1
    shift
    [ -d "$work/one.$name/ckpt" ] || go "$name" "one.$name"
    go "$name" mesh "$@"
    close_to <(numbers "one.$name") <(numbers mesh) 4 1e-6 || return 1
    "$BUILD/tests/tools/compare" --prefix optim.sgd.m. --tolerance 1e-5 "$work/one.$name/ckpt" "$work/mesh/ckpt"
}

build piped 'pp: layers  dp: batch  cp: seq  tp: d vocab seq'
same piped --pp 2
same piped --pp 2 --vp 2 --dp 2
same piped --pp 2 --cp 2 --tp 2
build split 'dp: batch  tp: d vocab'
same split --tp 2 --dp 2
build stacked 'dp: batch  tp: vocab layers' --fix dp=1
same stacked --tp 2

# Along the batch itself, which is whole in a micro-batch of all ranks: the second one's samples are not the step's first.
cat >"$work/batch.nm" <<'MODEL'
dims vocab = 256, d = 16
dims batch = ?, seq = ?
mesh { dp: batch }
model net(tokens: vocab[batch, seq]) {
  x = embed(tokens, vocab -> d)
  c = cast(0, x)[+seq, +d]
  scan batch { c = 0.5 * c + x   y = c }
  return head: linear(y, d -> vocab)
}
train (tokens: vocab[batch, seq], labels: vocab[batch, seq]) {
  minimize cross_entropy(net(tokens), labels, vocab) { sgd(lr = 1.0) }
}
MODEL
nemocc "$work/batch.nm" -o "$work/batch" 2>"$work/out"
micro=4
go batch one.batch
micro=2
same batch --dp 2
