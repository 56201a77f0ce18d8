#!/usr/bin/env bash
# Every C file is laid out as .clang-format says, but for the two that are aligned by hand.
set -eu
command -v clang-format-22 >/dev/null || { echo "skipped: there is no clang-format-22 on this machine"; exit 0; }
find ./*.[ch] base bench codegen examples frontend ir passes runtime tests -name '*.[ch]' \
    -not -path runtime/driver_abi.h -not -path runtime/emu/prims.h -print0 | xargs -0 -n 40 -P 4 clang-format-22 --dry-run -Werror
