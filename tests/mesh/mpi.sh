#!/usr/bin/env bash
# Ranks that launchers start: four by torchrun's variables over TCP, four by mpirun over MPI and over TCP. The losses are
# one rank's, and to the bit those of forked ranks. Without mpirun its part is skipped, and says so.
set -eu
. tests/mesh/lib_start.sh
build_model llama3 t
flags+=(--steps 8)
port=$((20000 + $$ % 10000))

"$work/t" "${flags[@]}" --tp 1 --pp 1 --log-dir "$work/one/logs" >"$work/out"
"$work/t" "${flags[@]}" --log-dir "$work/forked/logs" >"$work/out"
same_losses forked one

pids=()
for rank in 0 1 2 3; do
    (LOCAL_WORLD_SIZE=4 as_rank $rank $rank localhost $port "$work/t" "${flags[@]}" --log-dir "$work/tcp/logs") \
        >"$work/out.$rank" 2>&1 &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || { cat "$work"/out.? && exit 1; }; done
diff <(rows forked) <(rows tcp)

# a rank too few is named by rank 0, and told to those who came
pids=()
for rank in 0 1 2; do
    (LOCAL_WORLD_SIZE=4 as_rank $rank $rank localhost $((port + 1)) "$work/t" "${flags[@]}" --comm-timeout 2) \
        >"$work/out.$rank" 2>&1 &
    pids+=($!)
done
for pid in "${pids[@]}"; do ! wait "$pid" || exit 1; done
for rank in 0 1 2; do says '^error: rank 3 has not come to rank 0 for 2 s$' "$work/out.$rank"; done

if ! command -v mpirun >/dev/null; then
    echo "skipped: there is no mpirun here, so nothing was run over MPI"
    exit 0
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
oversubscribe=$(mpirun --version | grep -q 'Open MPI' && echo --oversubscribe || true)
for comm in mpi tcp; do
    mpirun $oversubscribe -n 4 "$work/t" "${flags[@]}" --comm $comm --log-dir "$work/$comm.run/logs" >"$work/out" 2>&1 ||
        { cat "$work/out" && exit 1; }
    [ "$(grep -c '^done at step 8' "$work/out")" -eq 1 ]
    diff <(rows forked) <(rows $comm.run)
done
NEMOCC_MPI_PATH=/nowhere.so mpirun $oversubscribe -n 4 "$work/t" "${flags[@]}" --comm mpi >"$work/out" 2>&1 && exit 1
says '^error: cannot load MPI \(/nowhere.so: .*or take --comm tcp$' "$work/out"
