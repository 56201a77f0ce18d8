# Tokens/s at batch 1 of train_bin and of PyTorch with a cache of keys and values, in turns, beside the time that the weights
# take to be read: generate.py --model gpt2|llama --train-bin PATH --checkpoint DIR --machine PATH --rounds N [--torch] [--json FILE]
# What memory gives is measured before and after each run, by bench/machine.c, and a run's share is of the mean of the two: where
# other machines hang on the same memory, it doubles and halves within seconds.
# A token reads every weight once but the rows of the embedding that it does not meet; where the head is tied, all of it.
# train_bin's time is the difference of two runs, of N and of 3 N tokens, so that its start does not count.
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from drive import SETTINGS

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = {"gpt2": 4 * (12 * (12 * 768 * 768 + 13 * 768) + 50304 * 768), "llama": 4 * 138.42e6}  # read for a token
N = 48


def timed(command):
    """Seconds on the wall and of CPU time of a program that ends."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def nemocc(args):
    runs = [timed([args.train_bin, "generate", "--checkpoint", args.checkpoint, "--temperature", "0", "--max-tokens", str(n)])
            for n in (N, 3 * N)]
    return [1e3 * (b - a) / (2 * N) for a, b in zip(*runs)]


def read_speed(args):
    """GB/s that two threads read now."""
    return float(subprocess.run([args.machine], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1])


def torch(args):
    text = subprocess.run([sys.executable, os.path.join(HERE, "decode_torch.py"), args.model, str(3 * N)], check=True,
                          stdout=subprocess.PIPE, text=True, env=dict(os.environ, **SETTINGS)).stdout
    return [float(x) for x in text.split()]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True, choices=list(BYTES))
    p.add_argument("--train-bin", required=True)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--machine", required=True, help="bench/machine.c, compiled")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--torch", action="store_true")
    p.add_argument("--json")
    args = p.parse_args()
    programs = {"nemocc": nemocc, **({"PyTorch eager": torch} if args.torch else {})}
    rows = {name: [] for name in programs}
    speeds = [read_speed(args)]
    for _ in range(args.rounds):
        for name, run in programs.items():
            wall, cpu = run(args)
            speeds.append(read_speed(args))
            floor = BYTES[args.model] / statistics.mean(speeds[-2:]) / 1e6
            rows[name].append((wall, cpu, floor / wall, 2 * floor / cpu))
    print("%s at batch 1: %.0f MB of weights a token; memory gave %.1f to %.1f GB/s" % (args.model, BYTES[args.model] / 1e6, min(speeds), max(speeds)))
    print("%-16s %9s %9s %9s %22s" % ("program", "ms/token", "tokens/s", "CPU ms", "of bandwidth: wall, CPU [rounds]"))
    for name, all_rounds in rows.items():
        wall, cpu, of_read, of_read_cpu = (statistics.median(x) for x in zip(*all_rounds))
        shares = [100 * x[2] for x in all_rounds]
        print("%-16s %9.2f %9.1f %9.2f %9.0f %% %9.0f %% [%.0f..%.0f]"
              % (name, wall, 1e3 / wall, cpu, 100 * of_read, 100 * of_read_cpu, min(shares), max(shares)), flush=True)
        if args.json:
            with open(args.json, "a") as f:
                print(json.dumps({"model": args.model, "program": name, "ms": wall, "tokens_per_s": 1e3 / wall, "cpu_ms": cpu,
                                  "of_read": of_read, "of_read_cpu": of_read_cpu, "n": args.rounds}), file=f)


main()
