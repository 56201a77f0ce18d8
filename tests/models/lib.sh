# Shared by the scripts here: a scratch folder, a text, compiling, and how to compare two runs.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -f tests/text.awk >"$work/text"

compile() { # compile MODEL PRESET NAME
    nemocc "$1" ${2:+--preset "$2"} -o "$work/$3"
}
# run_in FOLDER PROGRAM FLAGS...: become a run with checkpoints and logs in a folder of the scratch. Call it as
# (run_in ...), or with & behind it: then $! is the run itself.
run_in() {
    local folder=$work/$1 program=$work/$2
    shift 2
    exec "$program" --data "$work/text" --micro-batch 2 --global-batch 4 --seq 48 --lr 2e-3 --warmup 5 \
        --save "$folder/ckpt" --log-dir "$folder/logs" "$@"
}
rows() { # a folder's metrics, without what a clock says
    sed -E 's/, "(tokens_per_s|step_ms|mfu|comm_wait_s)": [^,}]*//g' "$work/$1/logs/metrics.jsonl"
}
tensors() { # names and checksums of a folder's newest checkpoint
    grep '"path"' "$work/$1/ckpt/latest/index.json"
}
losses() { sed -n 's/.*"loss": *\([^,}]*\).*/\1/p' "$work/$1/logs/metrics.jsonl"; }
# close_to WANT HAVE LINES TOLERANCE: two files of so many numbers, of which each is near the other; says which is not.
close_to() {
    paste "$1" "$2" | awk -v lines="$3" -v tolerance="$4" '
        { d = $1 - $2; if (d < 0) d = -d; size = $1 < 0 ? -$1 : $1 }
        !(NF == 2 && d <= tolerance * size) { print "number", NR ": " $2 " instead of " $1; bad = 1 }
        END { if (NR != lines) print NR, "numbers instead of", lines; exit bad || NR != lines }'
}
same_run() { # same_run A B: metrics and weights, to the bit
    diff <(rows "$1") <(rows "$2")
    diff <(tensors "$1") <(tensors "$2")
}
values() { # values FILE NAME TYPE: the numbers of a tensor of a safetensors file, one a line; TYPE as od's
    local length begin end offsets
    length=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    offsets=$(head -c $((length + 8)) "$1" | tail -c "$length" | sed -E "s/.*\"$2\":\{[^}]*\"data_offsets\":\[([0-9]+),([0-9]+)\].*/\1 \2/")
    read -r begin end <<<"$offsets"
    od -An -v -w4 -t"$3" -j $((length + 8 + begin)) -N $((end - begin)) "$1"
}
