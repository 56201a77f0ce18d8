#!/usr/bin/env bash
# kill -9 again and again with --save-every 5, then --resume auto: the run is the one that nobody disturbed.
set -eu
. tests/models/lib.sh
compile models/gpt2.nm tiny program
(run_in calm program --steps 300 --save-every 5) >/dev/null
kills=0
for i in 1 2 3 4 5 6 7 8; do
    run_in killed program --steps 300 --save-every 5 --resume auto >>"$work/log" 2>&1 &
    sleep "0.$((4 + (i * 7) % 6))"
    kill -9 $! 2>/dev/null && kills=$((kills + 1))
    wait $! 2>/dev/null || true
done
echo "$kills kills"
[ $kills -ge 2 ]
(run_in killed program --steps 300 --save-every 5 --resume auto) >>"$work/log" 2>&1
same_run calm killed
