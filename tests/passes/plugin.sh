#!/usr/bin/env bash
# Plug-ins: one is loaded, stands where it says and is a pass like others; what is wrong with one is said in a sentence.
set -u
cd "$(dirname "$0")/../.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

cat >"$scratch/plugin.c" <<'END'
#include "passes/plugin.h"
#ifndef ROW
#define ROW .name = "mine", .run = run, .why = "to see it run"
#endif
#ifndef PLACE
#define PLACE .after = "simplify"
#endif
static const nm_rule rules[] = {RULE("exp(neg(?x)) => abs(?x)")}; // no identity: it can be seen
static bool run(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        nm_rewrite(f, rules, 1, changed);
    return true;
}
NM_PLUGIN(PLACE, .pass = {ROW})
END
cat >"$scratch/f.nmir" <<'END'
dims i = 3
func @f(%x: f32[i]) {
  %n = neg %x : f32[i]
  %y = exp %n : f32[i]
  ret %y
}
END

sed 's, %n = neg.*,, ; s,exp %n,exp %x,' "$scratch/f.nmir" >"$scratch/g.nmir"

build() { # NAME.so, with the given flags
    local name=$1
    shift
    clang-22 -std=gnu17 -Wall -Wextra -Wpedantic -Wshadow -Werror -shared -fPIC -I"${ROOT:-.}" "$@" "$scratch/plugin.c" -o "$scratch/$name.so" || failed=1
}

expect() { # words that it says, then a command; every %s is the scratch folder
    local words=${1//%s/$scratch} said
    shift
    said=$("${@//%s/$scratch}" 2>&1)
    case $said in
        *"$words"*) ;;
        *) printf '%s\n  said: %s\n  and not: %s\n' "$*" "$said" "$words"; failed=1 ;;
    esac
}

build mine
build before -DPLACE='.before = "mine"' -DROW='.name = "yours", .run = run, .why = "w"'
expect 'abs %x' nemocc-opt --load-pass=%s/mine.so --pass=mine --verify-each %s/f.nmir
expect '1  exp(neg(?x)) => abs(?x)' nemocc-opt --load-pass=%s/mine.so --pass=mine -Rfuse --quiet %s/f.nmir
expect "@f, %y: exp(neg(?x)) => abs(?x): at 'neg(?x)) => abs(?x)': computed by another op" nemocc-opt --load-pass=%s/mine.so --pass=mine --explain='exp@%1' --quiet %s/g.nmir
expect 'abs %x' nemocc-opt --load-pass %s/mine.so --pass=mine %s/f.nmir
expect '# after mine' nemocc-opt --load-pass=%s/mine.so --stop-after=mine --dump-after=mine --quiet %s/f.nmir
expect 'exp' nemocc-opt --load-pass=%s/mine.so --stop-after=autodiff --disable-pass=mine %s/f.nmir
expect "3  mine         to see it run (%s/mine.so)" nemocc --load-pass %s/mine.so --print-pipeline
expect " 3  yours        w (%s/before.so)
 4  mine" nemocc --load-pass %s/mine.so --load-pass %s/before.so --print-pipeline
(cd "$scratch" && expect "(mine.so)" nemocc --load-pass mine.so --print-pipeline) || failed=1

build twin
build nowhere -DPLACE='.after = "simplifi"'
build both -DPLACE='.after = "simplify", .before = "fuse"'
build early -DROW='.name = "mine", .run = run, .why = "w", .needs = GROUPED'
build breaks -DROW='.name = "mine", .run = run, .why = "w", .breaks = CANONICAL'
build nameless -DROW='.run = run, .why = "w"'
build reasonless -DROW='.name = "mine", .run = run'
echo 'int x;' | clang-22 -shared -fPIC -x c - -o "$scratch/none.so"
expect "%s/twin.so: there is a pass 'mine' already" nemocc --load-pass %s/mine.so --load-pass %s/twin.so --print-pipeline
expect "wants to stand after 'simplifi', and there is no such pass; did you mean 'simplify'?" nemocc --load-pass %s/nowhere.so --print-pipeline
expect "has to say before or after which pass it stands, one of both" nemocc --load-pass %s/both.so --print-pipeline
expect "needs the fact 'grouped', which does not hold where it stands, after 'simplify'" nemocc --load-pass %s/early.so --print-pipeline
expect "pass 'mine' breaks the fact 'canonical', which 'experts' needs" nemocc-opt --load-pass=%s/breaks.so --print-pipeline
expect "lacks the pass' name" nemocc --load-pass %s/nameless.so --print-pipeline
expect "lacks the pass' reason" nemocc --load-pass %s/reasonless.so --print-pipeline
expect "none.so is no plug-in" nemocc --load-pass %s/none.so --print-pipeline
expect "no_such.so: cannot open shared object file" nemocc --load-pass %s/no_such.so --print-pipeline
expect "--load-pass needs a value" nemocc --load-pass

# Headers of another day: another version, an op more, a field more.
mkdir "$scratch/other"
cp -r base ir passes "$scratch/other"
sed -i 's/NM_PLUGIN_VERSION = /&9/' "$scratch/other/passes/plugin.h"
ROOT=$scratch/other build version
sed -i 's/NM_PLUGIN_VERSION = 9/NM_PLUGIN_VERSION = /; ' "$scratch/other/passes/plugin.h"
sed -i 's/    nm_sym mode; /    nm_sym mode, moods; /' "$scratch/other/ir/ir.h"
ROOT=$scratch/other build structs
cp ir/ir.h "$scratch/other/ir"
sed -i 's/^OP(neg, /OP(minus, /' "$scratch/other/ir/ops.def"
sed -i 's/^NM_PLUGIN/#define nm_grad_minus nm_grad_neg\n&/' "$scratch/plugin.c"
ROOT=$scratch/other build ops
expect "version.so: a plug-in of version 91, and this nemocc takes version 1" nemocc --load-pass %s/version.so --print-pipeline
expect "built with the headers of another nemocc: its structs are not those of this one" nemocc --load-pass %s/structs.so --print-pipeline
expect "built with the headers of another nemocc: its ops are not those of this one" nemocc --load-pass %s/ops.so --print-pipeline
exit $failed
