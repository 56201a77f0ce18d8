#!/usr/bin/env bash
# Every number that minimize, an optimizer or a schedule of the library takes has its row in runtime/hyper.c: what it means
# and its range. A flag without one takes anything.
set -eu
rows=$(sed -nE 's/^ *\{"([a-z-]+)", "[^"]*", .*/\1/p' runtime/hyper.c)
names() {
    sed -nE 's/.*known\[\] = \{("clip".*)\};/\1/p' frontend/elab_train.c | tr -d '" ' | tr , '\n'
    sed -nE 's/^(module [a-z]+\(p, g, |fn [a-z_]+\()(lr|peak)(.*)\) *[={].*/\2\3/p' models/std.nm | sed -E 's/\([^()]*\)/0/g' | tr , '\n' |
        sed -nE '/= *(true|false)/d; s/^ *([a-z_]+).*/\1/p' | sed 's/^peak$/lr/; s/^floor$/min-lr/; s/_/-/g'
}
[ "$(names | grep -cE '^(ema|clip|betas|momentum|warmup)$')" -ge 8 ] # it does find them
for name in $(names | sort -u); do
    grep -qxF "$name" <<<"$rows" || { echo "runtime/hyper.c has no row for $name" && exit 1; }
done
