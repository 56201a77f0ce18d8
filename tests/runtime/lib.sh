# Shared by the scripts here: a scratch folder, a text, and how to compare two runs.
build=${NEMOCC_BUILD:-build}
fake=$PWD/$build/runtime/fake
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -E
trap 'echo "$0:$LINENO: $BASH_COMMAND: exit $?" >&2' ERR # a test that ends says where
awk -f tests/text.awk >"$work/text"

rows() { # metrics without what a clock says
    sed -E 's/, "(tokens_per_s|step_ms|mfu|comm_wait_s)": [^,}]*//g' "$1"
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
