#!/usr/bin/env bash
# Proves every arrow of docs/architecture.md: a room includes only the rooms that it may know. What the compiler and an
# emitted program share are two headers of runtime/: the driver's ABI, and, for kernel templates alone, the words of the
# machine that kernels are written in (a template is compiled for the GPU and for the emulator; prims.h is both). Both
# keep files in the user's cache and read JSON by headers of base/.
set -eu
declare -A may=(
    [base]="base" [ir]="base ir" [frontend]="base ir frontend" [passes]="base ir passes"
    [codegen]="base ir codegen runtime/driver_abi.h runtime/emu/prims.h" [runtime]="runtime base/cache.h base/json.h"
    [runtime/emu]="runtime/emu runtime/gpu/api.h runtime/gpu/api.def runtime/driver_abi.h runtime/status.h")
bad=0
for room in "${!may[@]}"; do
    while IFS=: read -r file line text; do
        target=$(sed -E 's/.*#include "([^"]*)".*/\1/' <<<"$text")
        ok=0
        for allowed in ${may[$room]}; do
            case $target in "$allowed" | "$allowed"/*) ok=1 ;; esac
        done
        case $target in */*) ;; *) ok=1 ;; esac # generated, or a neighbour in templates/
        [ $ok -eq 1 ] || { echo "$file:$line: $room may not include $target"; bad=1; }
    done < <(grep -rnE '^#include "' "$room" --include='*.[chly]' --include='*.def' || true)
done
if grep -rnE '#include [<"]llvm' base ir frontend passes runtime; then
    echo "only codegen may know LLVM"
    bad=1
fi
if grep -rn '#include "runtime/emu/prims.h"' codegen | grep -v '^codegen/templates/'; then
    echo "only templates may be written in prims.h"
    bad=1
fi
exit $bad
