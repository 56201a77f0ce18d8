# Steps of two programs in turns, on one machine: train_bin (A) and each peer (B).
#   drive.py --train-bin PATH --text FILE --rounds N --dropout P LENGTH... -- PEER...
# A program that is not on turn is stopped (SIGSTOP), so that nothing of it, not even a thread that spins, runs in
# the other's step. train_bin steps by itself: it is stopped as soon as its line of a step is there, and what it did
# since is counted to the step that it belongs to. A step is counted twice: by the clock on the wall, and by the CPU
# time of all threads of the process, which other work on the machine lengthens less.
# Python's standard library alone; the peers say what they need.
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
B, D, LAYERS, PARAMETERS = 4, 768, 12, 124.44e6
PEERS = {"eager": ["gpt2_torch.py", "eager"], "compile": ["gpt2_torch.py", "compile"], "jax": ["gpt2_jax.py", "jit"]}
# What makes PyTorch faster: memory is kept in the process and lies in huge pages, waiting threads do not spin for long.
SETTINGS = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "THP_MEM_ALLOC_ENABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=34359738368"}


def cpu_seconds(pid):
    """CPU time of all threads of a process: its CPU clock's id is made of its number (clock_getcpuclockid)."""
    return time.clock_gettime(~pid << 3 | 2)


def peak_rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1e6


class Program:
    """A process that steps when it is on turn."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        env=dict(os.environ, **(env or {})))
        self.pid, self.wall, self.cpu = self.process.pid, [], []

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise SystemExit("bench: %s ended" % self.process.args[0])
        return text

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        while open("/proc/%d/stat" % self.pid).read().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.0002)

    def turn(self):
        wall, cpu = time.monotonic(), cpu_seconds(self.pid)
        os.kill(self.pid, signal.SIGCONT)
        self.step()
        self.stop()
        self.wall.append(time.monotonic() - wall)
        self.cpu.append(cpu_seconds(self.pid) - cpu)

    def end(self):
        rss = peak_rss(self.pid)
        self.process.kill()
        self.process.wait()
        return rss


class Peer(Program):
    def __init__(self, name, t, drop):
        file, how = PEERS[name]
        super().__init__([sys.executable, os.path.join(HERE, file), how, str(B), str(t), str(drop)], SETTINGS)
        self.name = self.line().strip() + {"compile": " compile", "eager": " eager"}.get(name, "")
        self.stop()

    def step(self):
        print("step", file=self.process.stdin, flush=True)
        self.line()


class Nemocc(Program):
    def __init__(self, train_bin, text, t):
        super().__init__([train_bin, "--data", text, "--steps", "100000", "--micro-batch", str(B), "--global-batch", str(B),
                          "--seq", str(t), "--log-every", "1"])
        self.name = "nemocc"
        for _ in range(3):
            self.step()
        self.stop()

    def step(self):
        while not self.line().startswith("step "):
            pass


def flops(t):
    return B * t * (6 * PARAMETERS + 12 * LAYERS * D * t)


def row_of(p, t, peak):
    wall, cpu = statistics.median(p.wall), statistics.median(p.cpu)
    return {"T": t, "program": p.name, "ms": 1e3 * wall, "tokens_per_s": B * t / wall, "cpu_ms": 1e3 * cpu,
            "of_peak": flops(t) / cpu / peak / 1e9, "rss_gb": p.end(), "n": len(p.cpu)}


def compare(programs, rounds, t, peak):
    """Rows of nemocc, the first, and of a peer, if there is one, with the ratios to nemocc's."""
    for _ in range(rounds):
        for p in programs:
            p.turn()
    ratios = [programs[-1].cpu[i] / programs[0].cpu[i] for i in range(rounds)]
    rows = [row_of(p, t, peak) for p in programs]
    for row in rows[1:]:
        row.update(wall_ratio=row["ms"] / rows[0]["ms"], cpu_ratio=row["cpu_ms"] / rows[0]["cpu_ms"], least=min(ratios),
                   most=max(ratios), rss_ratio=rows[0]["rss_gb"] / row["rss_gb"])
    return rows


COLUMNS = "%5s  %-24s %9s %9s %9s %8s %7s   %s"


def show(row):
    ratios = ""
    if "cpu_ratio" in row:
        ratios = "%(wall_ratio).2f  %(cpu_ratio).2f [%(least).2f..%(most).2f]   %(rss_ratio).2f" % row
    print(COLUMNS % (row["T"], row["program"], "%.0f" % row["ms"], "%.1f" % row["tokens_per_s"], "%.0f" % row["cpu_ms"],
                     "%.1f %%" % (100 * row["of_peak"]), "%.2f" % row["rss_gb"], ratios), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--train-bin", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--dropout", type=float, required=True)
    p.add_argument("--peak", type=float, required=True, help="GFLOP/s of one thread")
    p.add_argument("--json", help="append rows here")
    p.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    p.add_argument("lengths", type=int, nargs="+")
    args = p.parse_args()
    print(COLUMNS % ("T", "program", "ms/step", "tokens/s", "CPU ms", "of peak", "RSS GB", "peer / nemocc: wall, CPU [rounds]; RSS nemocc / peer"))
    for t in args.lengths:
        for name in args.peers or [None]:
            peer = [Peer(name, t, args.dropout)] if name else []
            for row in compare([Nemocc(args.train_bin, args.text, t)] + peer, args.rounds, t, args.peak):
                show(row)
                if args.json:
                    with open(args.json, "a") as f:
                        print(json.dumps(dict(row, dropout=args.dropout)), file=f)


main()
