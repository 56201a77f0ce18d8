#!/usr/bin/env bash
# Checks that fail nothing: under `set -e` neither a line `! a` ends a script nor the a of a line `a && b`. They are written
# `! a || exit 1`, `[[ a && b ]]`, or as two lines.
set -eu
scripts=$(grep -rl '^set -e' tests --include='*.sh')
weak=$(grep -nE '^ *!.*[^\\]$|^ *(\[|grep|cmp|diff).* && (! )?(\[|grep|cmp|diff)|&& ! ' $scripts; grep -rnE '^# RUN: *!' tests --include='*.nm' --include='*.nmir') || true
! grep -vE '\|\|( |$)|^[^:]*:[0-9]*: *\[\[|&& (return|break)$|(if|while|until) ' <<<"$weak" || exit 1
