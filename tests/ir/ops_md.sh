#!/usr/bin/env bash
# docs/ops.md is what the op table says.
nemocc-opt --list-ops-md | diff -u docs/ops.md - || { echo "make it again: nemocc-opt --list-ops-md > docs/ops.md"; exit 1; }
