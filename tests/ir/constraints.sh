#!/usr/bin/env bash
# Every number that a message of ir/ carries is explained in docs/ir.md.
bad=0
for number in $(grep -rhoE '\[[a-z_]+-[0-9]\]' ir/*.c | tr -d '[]' | sort -u); do
    grep -q "^|.*\b$number\b.*|" docs/ir.md || { echo "docs/ir.md lacks $number"; bad=1; }
done
exit $bad
