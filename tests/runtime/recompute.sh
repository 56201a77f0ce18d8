#!/usr/bin/env bash
# --recompute, of a program written by hand (fake_units.c): every choice on every mesh gives the bits of the
# default, also of a run that goes on with another; auto is the least that fits; what cannot be is said.
set -eu
. tests/runtime/lib.sh
units=$PWD/$build/runtime/fake_units_checked
flags=(--data "$work/text" --steps 4 --seq 32 --threads 1 --micro-batch 2 --global-batch 12)

run() { # run FOLDER FLAGS...
    local folder=$work/$1
    shift
    rm -rf "$folder"
    "$units" "${flags[@]}" --log-dir "$folder" "$@" >"$work/out" 2>&1 || { cat "$work/out" && return 1; }
}
while read -r mesh; do
    run default --check-memory $mesh
    for way in none full block:3 l1=full,l2=block:2; do
        run other --check-memory $mesh --recompute $way
        cmp <(rows "$work/default/metrics.jsonl") <(rows "$work/other/metrics.jsonl") || { echo "$mesh --recompute $way" && exit 1; }
    done
done <<'MESHES'
--pp 1
--pp 3 --dp 2
--pp 2 --vp 3 --micro-batch 1
MESHES
grep -q '^recomputation: selective,l1=full,l2=block:2$' "$work/out"
run whole --save "$work/whole"
run parts --save "$work/parts" --steps 2 --recompute full
"$units" "${flags[@]}" --save "$work/parts" --resume auto --recompute none >/dev/null 2>&1
for ckpt in whole parts; do tensors "$(ls -d "$work/$ckpt"/*4)" >"$work/$ckpt.tensors"; done
cmp "$work/whole.tensors" "$work/parts.tensors"

# a dry run weighs each: more is computed again, less is kept; the one that runs is marked
dry() { "$units" --dry-run --threads 1 --seq 64 --pp 2 --global-batch 16 "$@"; }
dry --recompute block:3 | sed -n '/--recompute/,/^$/p' >"$work/table"
diff - "$work/table" <<'GOLDEN'
   --recompute            memory        saved   launches   operations   of a step
                          a rank        of it     a rank        again
   none                  4.6 MiB      4.4 MiB         45            0       0.0 %
   selective             3.3 MiB      3.1 MiB         45            0       0.0 %
   block:2               3.0 MiB      2.8 MiB         53        262 K       6.1 %
   block:5               2.6 MiB      2.4 MiB         53        655 K      15.2 %
   block:8               2.3 MiB      2.1 MiB         53       1.05 M      24.2 %
   full                  1.9 MiB      1.7 MiB         45       1.44 M      33.3 %
 * block:3               2.9 MiB      2.7 MiB         53        393 K       9.1 %

GOLDEN
# auto, by MiB; below the least it is refused with what would help
chosen() { dry --recompute auto --memory-limit "$(awk -v mib="$1" 'BEGIN {print mib / 1024}')" | sed -n 's/^ \* \([^ ]*\) .*/\1/p'; }
[ "$(for mib in 5 4.5 3.2 2.95 2.3 2; do chosen $mib; done | xargs)" = 'none selective block:1 block:3 block:8 full' ]
expect 'a rank needs 1.9 MiB .* and may use 1.5 MiB \(--memory-limit\); --micro-batch 2 would fit$' dry --recompute auto --memory-limit 0.0015
expect 'a rank needs 3.3 MiB .*; --micro-batch 2 or --recompute block:9 would fit$' dry --memory-limit 0.0022
expect '; --micro-batch 1 --recompute auto would fit$' dry --memory-limit 0.00093
expect '; no --micro-batch would fit, with any --recompute; ' dry --memory-limit 0.0001
expect '^recomputation: block:[1-9]+$' "$units" "${flags[@]}" --pp 2 --steps 1 --recompute auto --memory-limit 0.0008

expect "takes none, selective, full, block:N .* or auto, .* not 'half'" "$units" "${flags[@]}" --recompute half
expect "not 'block:'" "$units" "${flags[@]}" --recompute block:
expect "not '=full'" "$units" "${flags[@]}" --recompute none,=full
expect "'none' and 'full' are of the same layers" "$units" "${flags[@]}" --recompute none,full
expect "'l1=none' and 'l1=full' are of the same layers" "$units" "${flags[@]}" --recompute full,l1=none,l1=full
expect "there is no repeat 'l'; there are l1, l2" "$units" "${flags[@]}" --recompute l=full
expect '^note: --recompute full changes nothing: ' "$fake" --dry-run --recompute full
expect '^note: --recompute full changes nothing: ' "$fake" plan --gpus 1 --global-batch 8 --recompute full
expect '^  --recompute  *none selective full block:N auto$' "$units" info
expect '"recompute": \["none", "selective", "full"\]' "$units" info --json
for way in block:0 block:99999999999999999999 '' full,; do
    expect '^error: --recompute takes none, .*; not' "$units" "${flags[@]}" --recompute "$way"
done
expect '^note: --recompute block:99 is full: no stage has more than 11 layers$' dry --recompute block:99
