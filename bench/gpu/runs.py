"""Runs of carried programs, and what is told of them: rows of metrics, spans of a trace, a table, a JSON file."""

import dataclasses
import datetime
import json
import pathlib
import shutil
import subprocess
import time


@dataclasses.dataclass
class Run:
    """One run of a program. error is None where it ended well."""

    rows: list
    seconds: float
    error: str | None
    folder: pathlib.Path


class Clock:
    """How much of the time is left that a script may take."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def read_rows(folder):
    path = folder / "logs/metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def last_line(text):
    lines = [line for line in text.splitlines() if line.startswith("error")] or text.splitlines()
    return lines[-1] if lines else "no output"


def run(carried, program, work, flags, timeout, before=()):
    """Trains; `work` is emptied and gets logs, a checkpoint where flags say so, and the output."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [*before, str(carried / program), "--data", str(carried / "text"), "--log-dir", str(work / "logs"), *flags]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(timeout, 1))
        error = None if done.returncode == 0 else f"code {done.returncode}: {last_line(done.stderr)}"
        (work / "output").write_text(done.stdout + done.stderr)
    except subprocess.TimeoutExpired:
        error = f"did not end within {timeout:.0f} s"
    except OSError as e:
        error = f"cannot run: {e.strerror}"
    return Run(read_rows(work), time.monotonic() - start, error, work)


# --- traces ----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Kernel:
    """One launch."""

    name: str
    model: str  # its model lines
    ms: float
    indices: int
    flops: int

    def kind(self):
        return self.name.split(".")[0]


def read_trace(path):
    """Rank 0's launches, and the milliseconds of the traced steps."""
    kernels, step = [], 0.0
    for event in json.loads(path.read_text()):
        if event["ph"] != "X" or event["pid"] != 0:
            continue
        if event["cat"] == "step":
            step += event["dur"] / 1000
        if event["cat"] == "kernel":
            told = event["args"]
            kernels.append(Kernel(event["name"].split(" ")[0], told.get("model", ""), event["dur"] / 1000,
                                  told.get("indices", 0), told.get("flops", 0)))
    return kernels, step


def total(kernels):
    """Their milliseconds."""
    return sum(k.ms for k in kernels)


# --- where it ran ----------------------------------------------------------------------------------


def ask(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def machine():
    gpu = ask(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    cpu = ask(["sed", "-n", "s/^model name.*: //p", "/proc/cpuinfo"]).splitlines()
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "gpu": gpu.splitlines()[0] if gpu else "none", "cpu": cpu[0] if cpu else "?", "cpus": len(cpu)}


# --- what is said ----------------------------------------------------------------------------------


def show(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_table(rows, columns):
    cells = [columns] + [[show(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def write_json(folder, name, content):
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n")
