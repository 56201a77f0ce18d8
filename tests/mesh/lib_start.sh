# Shared by the scripts that start ranks as launchers do.
. tests/mesh/lib.sh

flags=(--data "$work/text" --global-batch 8 --seq 48 --lr 2e-3 --warmup 5 --threads 1 --tp 2 --pp 2)

# as_rank RANK LOCAL_RANK ADDRESS PORT COMMAND...: what torchrun would set for one of 4, two a host
as_rank() {
    local rank=$1 local_rank=$2 address=$3 port=$4
    shift 4
    RANK=$rank WORLD_SIZE=4 LOCAL_RANK=$local_rank LOCAL_WORLD_SIZE=${LOCAL_WORLD_SIZE:-2} MASTER_ADDR=$address \
        MASTER_PORT=$port exec "$@"
}
same_losses() { # same_losses A B: to 1e-4, and there are some
    paste <(losses "$1") <(losses "$2") | awk '
        { d = ($1 - $2) / $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
        END { if (n < 4 || !(worst < 1e-4)) { printf "losses differ by %g over %d steps\n", worst, n; exit 1 } }'
}
says() { # says PATTERN FILE...: one of the files has it
    local pattern=$1
    shift
    grep -qE -- "$pattern" "$@" || { echo "no '$pattern' in:" && cat "$@" && return 1; }
}
