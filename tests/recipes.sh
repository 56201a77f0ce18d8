#!/usr/bin/env bash
# The recipes of docs/contributing.md, performed as they stand on a copy of the tree. A line "`FILE`:" says that the indented
# block below it is a new file, "`FILE`, above `TEXT`:" that it goes above the first line with that text. What is built is
# nemocc-opt and the tests of ops; the lines for compiled code and for the language are compiled alone. Then the lines that
# begin with "$" are run.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$PWD
tar -cf - --exclude=./build --exclude=./.git --exclude=./ckpt --exclude=./logs . | tar -xf - -C "$work"
cd "$work"

# The blocks, as files of $work/recipe: N.to, N.above (perhaps), N.text; the commands in $work/recipe/commands.
mkdir recipe
awk -v to=recipe '
    function margin(line) { match(line, /^ */); return RLENGTH }
    function finish() { if (text != "") printf "%s", text >(to "/" n ".text"); text = ""; place = "" }
    /^ *`[^`]*`(, above `.*`)?:$/ {
        finish()
        n = sprintf("%02d", ++count)
        base = margin($0) + 4
        place = above = $0
        sub(/^ *`/, "", place); sub(/`.*/, "", place)
        print place >(to "/" n ".to")
        if (sub(/^.*`, above `/, "", above)) { sub(/`:$/, "", above); print above >(to "/" n ".above") }
        blank = 0
        next
    }
    /^ +\$ / { finish(); sub(/^ +\$ /, ""); print >(to "/commands"); next }
    place != "" && /^$/ { blank++; next }
    place != "" && margin($0) >= base { # blank lines of the block itself, but not the one above it
        for (; text != "" && blank > 0; blank--) text = text "\n"
        blank = 0
        text = text substr($0, base + 1) "\n"
        next
    }
    place != "" { if (blank > 1 && text != "") text = text "\n"; finish() }
    END { finish() }
' docs/contributing.md

for to in recipe/*.to; do
    block=${to%.to}
    file=$(cat "$to")
    if [ ! -e "$block.above" ]; then
        mv "$block.text" "$file"
        continue
    fi
    awk -v above="$(cat "$block.above")" -v text="$block.text" '
        !done && index($0, above) { while ((getline line <text) > 0) print line; done = 1 }
        { print }
        END { exit !done }' "$file" >"$file.new" || { echo "$file has no line with $(cat "$block.above")"; exit 1; }
    mv "$file.new" "$file"
done
[ "$(cat recipe/*.to | wc -l)" -ge 12 ] && [ "$(wc -l <recipe/commands)" -ge 7 ] || { echo "blocks or commands are missing"; exit 1; }

flags='-O0 -g0 -Wall -Wextra -Wpedantic -Wshadow -Werror'
cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=clang-22 -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags" >log || { cat log; exit 1; }
ninja -C build nemocc-opt >log || { grep -v '^\[' log; exit 1; }
mkdir -p build/tests
for test in ops_test grads_test; do
    clang-22 -std=gnu17 $flags -I. -Ibuild "tests/$test.c" build/lib/libnm_{passes,ir,base}.a -lm -o build/tests/$test
done
clang-22 -std=gnu17 $flags -I. -I"$(llvm-config-22 --includedir)" -fsyntax-only codegen/scalar_map.c
clang-22 -std=gnu17 $flags -I. -fsyntax-only frontend/elab_builtin.c

ln -s "$here/build/bin/nemocc" build/bin/nemocc # what roundtrip.sh prints models with: of the tree as it was
export PATH=$work/build/bin:$PATH
while IFS= read -r command; do
    bash -e -o pipefail -c "$command" >log 2>&1 </dev/null || { echo "\$ $command"; cat log; exit 1; }
done <recipe/commands
