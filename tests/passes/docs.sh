#!/usr/bin/env bash
# docs/passes.md against the tables that it tells of. The section "The pipeline" of docs/passes.md
# has a heading and the reason of each pass, in order, and a paragraph below them.
section=$(awk '/^## / { inside = $0 == "## The pipeline"; next } inside' docs/passes.md)
want=$(nemocc-opt --print-pipeline | sed -E 's/^ *[0-9]+  ([^ ]+) +(.*)/### \1\n*\2*/')
have=$(awk '/^### / { print; getline; print }' <<<"$section")
diff <(echo "$want") <(echo "$have") || { echo "docs/passes.md (>) is not what pipeline.def says (<)"; exit 1; }
awk '/^### / { name = $2; lines[name] = 0; getline; next } NF { lines[name]++ }
     END { for (name in lines) if (name != "" && !lines[name]) { print "docs/passes.md says nothing of " name; bad = 1 } exit bad }' <<<"$section"

# The rows fuse.* of its last table are passes/fusions.def.
want=$(sed -nE 's/^FUSION\(([a-z_]+), *"(.*)"\)$/| `fuse.\1` | \2 |/p' passes/fusions.def)
diff <(echo "$want") <(grep '^| `fuse\.' docs/passes.md) || { echo "docs/passes.md (>) is not what fusions.def says (<)"; exit 1; }
