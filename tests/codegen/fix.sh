#!/usr/bin/env bash
# nemocc --fix: nothing is sent over an axis that is known to be 1, a known size is in the code, and
# what cannot be fixed is refused.
fail() { echo "$1" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
compile() { nemocc models/llama3.nm --preset tiny "$@"; }

axes() { compile "$@" --emit=nmir --stop-after=localize | grep -oE 'axes = \[[a-z, ]*\]' | grep -oE '\b(tp|tpk|tpr|cp|dp[rsp]?)\b' | sort -u | tr '\n' ' '; }
case $(axes) in *cp*dp*tp*) ;; *) fail "without --fix, nothing is sent over tp, cp, dp" ;; esac
case $(axes --fix tp=1) in *tp*) fail "--fix tp=1 sends over tp" ;; *cp*dp*) ;; *) fail "--fix tp=1 sends nothing" ;; esac
[ -z "$(axes --fix tp=1 --fix cp=1 --fix dp=1)" ] || fail "one rank sends over tp, cp or dp"

# Symbols that drivers load: fewer where seq is known.
loads() {
    nemocc models/llama3.nm --preset tiny "$@" --emit=llvm -o "$scratch/text" || exit 1
    grep -c '%seq[0-9]* = load' "$scratch/text"
}
[ "$(loads --fix seq=24)" -lt "$(loads)" ] || fail "--fix seq=24 changes no code"

refuse() {
    compile --fix "$1" -o "$scratch/out" 2>"$scratch/said" && fail "--fix $1 is not refused"
    grep -q -- "$2" "$scratch/said" || fail "--fix $1 says: $(cat "$scratch/said")"
}
refuse tp=2 'only 1 can be fixed'
refuse foo=1 'neither an axis'
refuse batch=4 'ranks of dp share it'
refuse tp 'takes NAME=NUMBER'
exit 0
