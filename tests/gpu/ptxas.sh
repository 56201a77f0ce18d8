#!/usr/bin/env bash
# The kernels of whole models, at the sizes that they are trained at, as a GPU gets them: ptxas takes them without a spill
# or a stack frame, and says nothing that costs speed (a wgmma that is "serialized", a setmaxnreg that is "ignored").
# Arguments: a model, its preset, an architecture; none: those of the list below.
set -u
if ! command -v ptxas >/dev/null; then
    echo "ptxas.sh: skipped: there is no ptxas on this machine"
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0

check() { # model, preset, arch; one text of its program: the others' kernels are much the same
    local out=$scratch/out
    nemocc "models/$1.nm" --preset "$2" --arch "$3" --fix tp=1 --fix cp=1 --fix dp=1 --fix pp=1 --precision f32,bf16 --emit=ptx -o "$out.ptx" ||
        { bad=1; return; }
    if ! ptxas -arch="$3" -v -split-compile=0 "$out.ptx" -o "$out.cubin" >"$out.log" 2>&1 ||
        grep -qE '[1-9][0-9]* bytes spill|[1-9][0-9]* bytes stack|serialized|injected|ignored|warning' "$out.log"; then
        echo "FAIL $* "
        grep -B1 -E '[1-9][0-9]* bytes spill|[1-9][0-9]* bytes stack|serialized|injected|ignored|warning|error' "$out.log"
        bad=1
    else
        echo "$*: $(grep -c 'Compiling entry' "$out.log") kernels, at most" \
            "$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$out.log" | sort -n | tail -1) registers"
    fi
}

if [ $# -gt 0 ]; then
    check "$@"
    exit $bad
fi
check gpt2 124m sm_80
check llama3 8b sm_90a
exit $bad
