# Shared by the scripts here: a scratch folder, a text, and how to compare two runs.
build=${NEMOCC_BUILD:-build}
fake=$PWD/$build/runtime/fake
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# 40 KB of words, always the same
awk 'BEGIN { split("the of and to a in that he shall unto for i his lord they be is him not with", w, " ")
    x = 7; for (i = 0; i < 9000; i++) { x = (x * 75 + 74) % 65537; printf "%s%s", w[x % 20 + 1], x % 11 ? " " : ".\n" } }' >"$work/text"

rows() { # metrics without what a clock says
    sed -E 's/"(tokens_per_s|step_ms|mfu)": [^,}]*//g' "$1"
}
tensors() { # names and checksums of a checkpoint
    grep '"path"' "$1/index.json"
}
expect() { # expect PATTERN COMMAND...: the output has the pattern
    local pattern=$1
    shift
    "$@" >"$work/out" 2>&1 || true
    grep -qE -- "$pattern" "$work/out" || { echo "no '$pattern' in the output of: $*"; cat "$work/out"; return 1; }
}
