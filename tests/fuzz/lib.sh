# Sourced by the scripts of this folder. `fuzz NAME RUNS SECONDS SEEDS OPTION...` runs build/fuzz/NAME_fuzz on the files
# listed one a line in SEEDS: with SECONDS for so long, on other inputs each time; with "" on the same RUNS inputs each
# time (the limit of time is for what hangs). An input that fails is left in build/fuzz.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

fuzz() {
    local name=$1 runs=$2 seconds=$3 seeds=$4 program=build/fuzz/$1_fuzz
    [ -x "$program" ] || { echo "no $program: run cmake --build build first" >&2; return 1; }
    local length=("-max_total_time=$seconds") still=()
    if [ -z "$seconds" ]; then # what is compared decides what is tried, and addresses are compared
        length=(-seed=1 "-runs=$runs" -max_total_time=300)
        if setarch -R true 2>/dev/null; then still=(setarch -R); else length+=(-use_cmp=0); fi
    fi
    "${still[@]}" "$program" "${length[@]}" -seed_inputs="$(paste -sd, <<<"$seeds")" -timeout=20 -rss_limit_mb=2048 \
        -verbosity=0 -print_final_stats=0 -artifact_prefix="build/fuzz/$name-" "${@:5}"
}

files() { # of folders, in one order everywhere
    find "$@" -type f | LC_ALL=C sort
}
