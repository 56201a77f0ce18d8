#!/usr/bin/env bash
# What git keeps is text and small fixtures: no program or object that a run has left, nothing of more than a mebibyte.
set -eu
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 0 # a tree without its history
made=$(git ls-files -z | LC_ALL=C xargs -0 grep -lsUaP '^(\x7fELF|!<arch>$)' -- || true)
large=$(git ls-files -z | find -files0-from - -maxdepth 0 -size +1024k 2>/dev/null || true)
[ -z "$made$large" ] || { printf '%s\n' "compiled: ${made:-none}" "of more than 1 MiB: ${large:-none}" && exit 1; }
