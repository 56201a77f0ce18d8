# Where a step's time goes: of a trace of train_bin (--trace), the shares of kernels in the threads' time.
#   shares.py TRACE.json [ROWS]
# A row is the kernels of one kind at one line of the model; `idle` is what no thread worked.
import collections
import json
import re
import sys


def main():
    with open(sys.argv[1]) as f:
        trace = json.load(f)
    events = trace if isinstance(trace, list) else trace["traceEvents"]
    threads = {e["tid"] for e in events if e.get("name") == "thread_name" and e["args"]["name"].startswith("thread ")}
    spent, first, last = collections.Counter(), float("inf"), 0.0
    for e in events:
        if e.get("ph") != "X" or e["tid"] not in threads:
            continue
        kernel, _, line = e["name"].partition(" ")
        spent[re.sub(r"[._].*", "", kernel), line] += e["dur"]
        first, last = min(first, e["ts"]), max(last, e["ts"] + e["dur"])
    spent["idle", ""] = len(threads) * (last - first) - sum(spent.values())
    for (kind, line), us in spent.most_common(int(sys.argv[2]) if len(sys.argv) > 2 else 12):
        print("%7.1f %%  %s %s" % (100 * us / len(threads) / (last - first), kind, line))


main()
