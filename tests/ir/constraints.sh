#!/usr/bin/env bash
# Every number that a message of ir/ carries is explained in docs/ir.md, or is a rule of docs/language.md.
bad=0
for number in $(grep -rhoE '\[[a-z_]+-[0-9]\]' ir/*.c | tr -d '[]' | sort -u); do
    grep -q "^|.*\b$number\b.*|" docs/ir.md || grep -qF "**$number**" docs/language.md || { echo "neither docs/ir.md nor docs/language.md has $number"; bad=1; }
done
exit $bad
