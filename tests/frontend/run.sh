#!/usr/bin/env bash
# Each NAME.nm here is a model with the mistakes that its name and its comments say:
#   x = a + b  # error 7: message [rule]      in this line, at column 7; `warning` likewise
#   use "x.nm" # error x.nm:1:5: message      in another file
# nemocc --check, or nemocc with the arguments of a line `# args: ...`, has to say exactly these, in
# this order, and to exit with 1 if one of them is an error, else with 0. NAME.golden, if there is one, is all that it prints.
# Run it with names to run those alone; with --bless first, the goldens are written anew.
cd "$(dirname "$0")" || exit 1
nemocc=$(command -v nemocc) || { echo "no nemocc on PATH" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bless=
[ "$1" = --bless ] && { bless=yes; shift; }
failed=0

expected() {
    awk '{
        s = $0
        while (match(s, /# (error|warning) [^ ]+: /)) {
            split(substr(s, RSTART + 2, RLENGTH - 4), head, " ")
            s = substr(s, RSTART + RLENGTH)
            text = match(s, /  # (error|warning) [^ ]+: /) ? substr(s, 1, RSTART - 1) : s
            print (head[2] ~ /^[0-9]+$/ ? FNR ":" head[2] : head[2]) ": " head[1] ": " text
        }
    }' "$1"
}

check() {
    local file=$1 name=${1%.nm} args status want=0
    args=$(sed -n 's/^# args: *//p' "$file")
    "$nemocc" ${args:---check} "$file" >"$scratch/out" 2>"$scratch/err"
    status=$?
    expected "$file" >"$scratch/want"
    grep -q ': error: ' "$scratch/want" && want=1
    grep -E '^[^ ]*: (error|warning): ' "$scratch/err" | sed "s|^$file:||" >"$scratch/got"
    if ! diff -u --label expected --label got "$scratch/want" "$scratch/got"; then
        echo "FAIL $file"
        return 1
    fi
    if [ "$status" -ne "$want" ] || [ -s "$scratch/out" ]; then
        echo "FAIL $file: exit status $status, or something on standard output"
        return 1
    fi
    if [ -e "$name.golden" ]; then
        [ -n "$bless" ] && cp "$scratch/err" "$name.golden"
        diff -u "$name.golden" "$scratch/err" || { echo "FAIL $file: not as $name.golden"; return 1; }
    fi
}

[ $# -gt 0 ] || set -- *.nm
for file in "$@"; do
    check "${file%.nm}.nm" || failed=$((failed + 1))
done
echo "$# files, $failed failed"
[ "$failed" -eq 0 ]
