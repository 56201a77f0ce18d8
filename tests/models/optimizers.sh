#!/usr/bin/env bash
# Every optimizer and schedule that the language has, on the same model: the loss falls.
set -eu
. tests/models/lib.sh
for optimizer in 'sgd(lr = constant(peak = 0.3), momentum = 0.9)' 'lion(lr = wsd(peak = 3e-4, warmup = 5))' \
    'adamw(lr = linear_decay(peak = 2e-3, warmup = 5), weight_decay = 0.1)' 'adamw(lr = 1e-3)'; do
    cat >"$work/m.nm" <<END
use gpt2
train (tokens: vocab[batch, seq], labels: vocab[batch, seq]) {
  minimize cross_entropy(gpt2(tokens), labels, vocab) { $optimizer  clip = 1.0 }
}
END
    compile "$work/m.nm" tiny program
    rm -rf "$work/logs"
    "$work/program" --data "$work/text" --micro-batch 4 --seq 48 --steps 60 --log-dir "$work/logs" >/dev/null
    awk -F'[:,]' -v name="$optimizer" '{loss[NR] = $4} END {
        printf "%s: %s to %s\n", name, loss[1], loss[NR]; exit !(loss[NR] < 4.2)}' "$work/logs/metrics.jsonl"
done
