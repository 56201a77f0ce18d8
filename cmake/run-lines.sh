#!/usr/bin/env bash
# The "# RUN:" lines of file $1, each a shell command, with the plug-in $2 loaded by `nemocc` ($3) and `nemocc-opt` ($4).
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for tool in "$3" "$4"; do
    printf '#!/bin/sh\nexec "%s" --load-pass="%s" "$@"\n' "$tool" "$2" >"$scratch/$(basename "$tool")"
    chmod +x "$scratch/$(basename "$tool")"
done
export PATH=$scratch:$PATH:/usr/lib/llvm-22/bin
commands=$(sed -n 's|^# RUN: *||p' "$1" | sed "s|%s|$1|g; s|%t|$scratch/t|g")
[ -n "$commands" ] || { echo "$1 has no '# RUN:' line" >&2; exit 1; }
case $commands in
    *FileCheck*) command -v FileCheck >/dev/null || { echo "$1 wants FileCheck, which comes with LLVM" >&2; exit 1; } ;;
esac
bash -e -o pipefail -c "$commands"
