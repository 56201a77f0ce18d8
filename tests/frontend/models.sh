#!/usr/bin/env bash
# Every model passes nemocc --check, without a word, at each of its presets; one without presets as
# it stands. Arguments: names of models, to check those alone.
cd "$(dirname "$0")/../.." || exit 1
nemocc=$(command -v nemocc) || { echo "no nemocc on PATH" >&2; exit 1; }
failed=0 n=0

check() { # the file, then options
    local said
    n=$((n + 1))
    said=$("$nemocc" --check "$@" 2>&1) && [ -z "$said" ] && return
    echo "FAIL nemocc --check $*"
    printf '%s\n' "$said" | head -20
    failed=$((failed + 1))
}

[ $# -gt 0 ] || set -- models/*.nm
for file in "$@"; do
    presets=$("$nemocc" --list-presets "$file") || { failed=$((failed + 1)); continue; }
    [ -n "$presets" ] || check "$file"
    for preset in $presets; do
        check "$file" --preset "$preset"
    done
done
check models/gpt2.nm # its defaults are the sizes of the smallest
echo "$n checks, $failed failed"
[ "$failed" -eq 0 ]
