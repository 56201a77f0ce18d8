#!/usr/bin/env bash
# --dry-run of a world that no machine here has: a golden text, but for what it says of this machine.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units

dry() { "$units" --dry-run --threads 1 --recompute full "$@" | grep -vE '^  (machine|free now) '; }
dry --tp 8 --pp 16 --dp 64 --micro-batch 2 --global-batch 4096 >"$work/large"
diff - "$work/large" <<'GOLDEN'
units tiny: micro-batch 2, 32 micro-batches a step, seq 64, 1 thread on host
8192 ranks: tp 8, pp 16, cp 1, dp 64 (ZeRO-1); 4096 samples a step

a rank of pp rank 0, which needs most; memory, in bytes:
  parameters                         8256     8.1 KiB
  optimizer state                    8256     8.1 KiB
  gradients                          8448     8.2 KiB
  saved activations                143360   140.0 KiB
  activations                           0         0 B
  data                               1024     1.0 KiB
  workspace                           448       448 B
  total                            169792   165.8 KiB

   pp rank      turns  in flight  sent a step       memory
         0          2         16    256.0 KiB    165.8 KiB
         1          2         15    512.0 KiB    133.3 KiB
         2          2         14    512.0 KiB    125.3 KiB
         3          2         13    512.0 KiB    117.3 KiB
         4          2         12    512.0 KiB    157.5 KiB
         5          2         11    512.0 KiB    101.3 KiB
         6          1         10    512.0 KiB     53.3 KiB
         7          1          9    512.0 KiB     49.3 KiB
         8          1          8    512.0 KiB     45.3 KiB
         9          1          7    512.0 KiB     41.3 KiB
        10          1          6    512.0 KiB     37.3 KiB
        11          1          5    512.0 KiB     33.3 KiB
        12          1          4    512.0 KiB     29.3 KiB
        13          1          3    512.0 KiB     25.3 KiB
        14          1          2    512.0 KiB     21.3 KiB
        15          1          1    256.0 KiB     49.3 KiB
pipeline bubble, by operations: 44.3 % of a step; of even stages, (pp - 1) / (pp - 1 + vp x micro-batches) = 15 / 47 = 31.9 %

   --recompute            memory        saved   launches   operations   of a step
                          a rank        of it     a rank        again
   none                421.8 KiB    396.0 KiB        165            0       0.0 %
   selective           293.8 KiB    268.0 KiB        165            0       0.0 %
   block:1             229.8 KiB    204.0 KiB        229        524 K      24.2 %
 * full                165.8 KiB    140.0 KiB        165        721 K      33.3 %

  of a step      over          launches        bytes
  all_reduce     dp                   2         68 B
  all_reduce     pp dp                1      8.0 KiB
  all_reduce     pp tp                1          4 B
  all_reduce     pp dp tp             1          4 B

GOLDEN

# uneven turns, the last stage never has more; with --vp, less of a bubble
dry --pp 4 --global-batch 32 >"$work/plain"
dry --pp 4 --vp 2 --global-batch 32 >"$work/interleaved"
bubble() { sed -n 's/pipeline bubble, by operations: \([0-9.]*\) .*/\1/p' "$1"; }
awk -v plain="$(bubble "$work/plain")" -v chunks="$(bubble "$work/interleaved")" 'BEGIN {exit !(plain > 27 && chunks > 0 && chunks < plain - 5)}'
[ "$(awk '$1 ~ /^[0-3]$/ {printf "%s ", $2}' "$work/plain")" = "6 6 5 5 " ]
# stages of one rank share their slots: 2 (pp - 1) + (vp - 1) pp + 1 on the first, not the sum of each stage's most
[ "$(awk '$1 ~ /^[0-3]$/ {printf "%s ", $3}' "$work/interleaved")" = "11 9 7 6 " ]
# the copy of a save is in the plan
grep -q 'checkpoint copy' <(dry --save "$work/none")
[ ! -e "$work/none" ]

# --device null: what a step launches, in the same seconds. With stages it needs more than the host: room for a micro-batch
# of each channel, of which the first rank has two and one between others four.
null() { "$units" --device null --recompute full --micro-batch 2 --global-batch 4096 "$@"; }
null --tp 8 --dp 64 >"$work/null"
dry --tp 8 --dp 64 --micro-batch 2 --global-batch 4096 | sed 's/1 thread on host/on null/' |
    diff - <(sed '/of a step  *launches/,$d' "$work/null")
null --tp 8 --pp 16 --dp 64 >"$work/null"
more() { awk -v rank="$1" '$1 == rank && $NF == "KiB" {m[++n] = $(NF - 1)} END {print m[2] - m[1]}' "$work/large" "$work/null"; }
[[ "$(more 0)" = 16 && "$(more 4)" = 32 ]]
sed '1,/of a step  *launches/d' "$work/null" | diff - <(printf '  %-26s %10d\n' map 165) # 32 micro-batches of 5, and 5 in the end
expect 'for cuda, compile it with --target cuda' "$units" --device cuda --data "$work/text"
expect 'for emu, compile it with --target emu' "$units" --device emu --data "$work/text"
expect 'for null, compile it with --target null' "$fake" --device null
