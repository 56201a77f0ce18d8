#!/usr/bin/env bash
# Every header compiles alone.
set -u
bad=0
for h in $(find base ir frontend passes codegen runtime -name '*.h' ! -path '*/templates/*'); do
    clang-22 -std=gnu17 -fsyntax-only -I. -Ibuild -I"$(llvm-config-22 --includedir)" -Wno-pragma-once-outside-header -x c "$h" || { echo "$h does not compile alone"; bad=1; }
done
exit $bad
