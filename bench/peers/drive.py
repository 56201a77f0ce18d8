# Steps of train_bin and of its peers in turns, on one machine.
#   drive.py --model gpt2|llama --train-bin PATH --text FILE --rounds N --seconds S --peak P LENGTH... --peers GROUP...
# A GROUP is names of peers by commas: what runs at the same time, one step of each a round. A group of fewer needs less
# memory, and train_bin starts anew for each. `inductor` is every variant of torch.compile at a length up to
# --search, and beyond only the one that was fastest before, whose name --choice keeps. Rounds end after S seconds of a group, but not before two.
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
B = 4
SIZES = {"gpt2": (12 * 768, 124.44e6), "llama": (2 * 2048, 138.42e6)}  # layers x heads x hd, parameters
VARIANTS = ["compile", "autotune", "cpp_wrapper"]  # of torch.compile (train_torch.py)
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
    def __init__(self, model, how, t, drop):
        file = os.path.join(HERE, "train_jax.py" if how == "jax" else "train_torch.py")
        super().__init__([sys.executable, file, model, how, str(B), str(t), str(drop)], SETTINGS)
        self.how, self.name = how, self.line().strip()
        self.stop()

    def step(self):
        print("step", file=self.process.stdin, flush=True)
        self.line()


class Nemocc(Program):
    def __init__(self, train_bin, text, t):
        super().__init__([train_bin, "--data", text, "--steps", "100000", "--micro-batch", str(B), "--global-batch", str(B),
                          "--seq", str(t), "--log-every", "1"])
        self.name = "nemocc"
        for _ in range(2):
            self.step()
        self.stop()

    def step(self):
        while not self.line().startswith("step "):
            pass


def flops(model, t):
    width, parameters = SIZES[model]
    return B * t * (6 * parameters + 12 * width * t)


def row_of(p, t, args):
    wall, cpu = statistics.median(p.wall), statistics.median(p.cpu)
    return {"model": args.model, "T": t, "dropout": args.dropout, "program": p.name, "ms": 1e3 * wall, "tokens_per_s": B * t / wall, "cpu_ms": 1e3 * cpu,
            "of_peak": flops(args.model, t) / cpu / args.peak / 1e9, "rss_gb": p.end(), "n": len(p.cpu)}


def compare(programs, t, args):
    """Rows of nemocc, the first, and of the peers, with the ratios to nemocc's."""
    end = time.monotonic() + args.seconds
    for i in range(args.rounds):
        if i >= 2 and time.monotonic() > end:
            break
        for p in programs:
            p.turn()
    rows = [row_of(p, t, args) for p in programs]
    for p, row in zip(programs[1:], rows[1:]):
        ratios = [a / b for a, b in zip(p.cpu, programs[0].cpu)]
        row.update(how=p.how, wall_ratio=row["ms"] / rows[0]["ms"], cpu_ratio=row["cpu_ms"] / rows[0]["cpu_ms"], least=min(ratios),
                   most=max(ratios), rss_ratio=rows[0]["rss_gb"] / row["rss_gb"])
    return rows


COLUMNS = "%5s  %-26s %6s %9s %9s %9s %8s %7s   %s"


def show(row):
    ratios = ""
    if "cpu_ratio" in row:
        ratios = "%(wall_ratio).2f  %(cpu_ratio).2f [%(least).2f..%(most).2f]   %(rss_ratio).2f" % row
    print(COLUMNS % (row["T"], row["program"], row["n"], "%.0f" % row["ms"], "%.1f" % row["tokens_per_s"], "%.0f" % row["cpu_ms"],
                     "%.1f %%" % (100 * row["of_peak"]), "%.2f" % row["rss_gb"], ratios), flush=True)


def chosen(path):
    return open(path).read() if os.path.exists(path) else VARIANTS[0]


def choose(rows, path):
    """Keeps the name of the fastest variant of torch.compile, if there is one in the rows."""
    compiled = [row for row in rows if row.get("how") in VARIANTS]
    if compiled:
        with open(path, "w") as f:
            f.write(min(compiled, key=lambda row: row["cpu_ms"])["how"])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--train-bin", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--model", required=True, choices=list(SIZES))
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--search", type=int, default=0)
    p.add_argument("--choice", required=True, help="a file that need not exist")
    p.add_argument("--dropout", type=float, default=0)
    p.add_argument("--peak", type=float, required=True, help="GFLOP/s of one thread")
    p.add_argument("--json", help="append rows here")
    p.add_argument("--peers", nargs="*", default=[])
    p.add_argument("lengths", type=int, nargs="+")
    args = p.parse_args()
    print(COLUMNS % ("T", "program", "rounds", "ms/step", "tokens/s", "CPU ms", "of peak", "RSS GB",
                     "peer / nemocc: wall, CPU [rounds]; RSS nemocc / peer"))
    for t in args.lengths:
        for group in args.peers or [""]:
            hows = group.replace("inductor", ",".join(VARIANTS) if t <= args.search else chosen(args.choice))
            peers = [Peer(args.model, how, t, args.dropout) for how in hows.split(",") if how]
            rows = compare([Nemocc(args.train_bin, args.text, t)] + peers, t, args)
            choose(rows, args.choice)
            for row in rows:
                show(row)
                if args.json:
                    with open(args.json, "a") as f:
                        print(json.dumps(row), file=f)


if __name__ == "__main__":
    main()
