"""Bytes that the kernels of a step read and write, from a plan (nemocc --emit=plan).

Usage: nemocc ... --emit=plan | fusion.py NAME=VALUE ...     (batch=8 seq=512 layers=12)

Prints megabytes of a micro-batch and of a step's end, of one rank. Each kernel counts each operand and each result once,
whole or a turn's part: what caches save is not in it, nor what a lookup in a table leaves out of the table.
"""
import re
import sys

BYTES = {"f32": 4, "bf16": 2, "f16": 2, "e4m3": 1, "e5m2": 1, "bool": 1, "u8": 1, "i32": 4, "i64": 8}
BUFFER = re.compile(r"  buffer (\d+) (\S+): (\w+) (.*?), (?:bound|\[)")
PLACE = re.compile(r"@(\d+)(?:\+([\w.]+)\*\(((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*)\))?")


def evaluate(text, sizes):
    """An extent: dims and symbols of parts (layers.pp) by the sizes given."""
    names = re.sub(r"[A-Za-z_][\w.]*", lambda m: str(sizes[m.group().split(".")[0]]), text)
    return eval(names)  # digits and operators alone


def turns_of(line, sizes):
    over = line.split()[1]
    if over == "head.chunks":
        tokens = sizes["batch"] * sizes["seq"]
        return -(-tokens // sizes["chunk"])
    return sizes[over.split(".")[0]]


def kernel_bytes(line, buffers, sizes):
    total = 0
    for number, _, part in PLACE.findall(line):
        width, extent = buffers[int(number)]
        total += width * evaluate(part or extent, sizes)
    return total


def function_bytes(lines, sizes):
    buffers, times, total = {}, [], 0
    for line in lines:
        buffer = BUFFER.match(line)
        if buffer:
            buffers[int(buffer[1])] = (BYTES[buffer[3]], buffer[4])
            continue
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        factor = times[depth - 1] if depth else 1
        if line.lstrip().startswith("repeat "):
            times[depth:] = [factor * turns_of(line.strip(), sizes)]
        elif re.match(r" *\d+ ", line):
            total += factor * kernel_bytes(line, buffers, sizes)
    return total


def functions(text):
    for part in text.split("\nplan @"):
        head, *lines = part.split("\n")
        yield head.removeprefix("plan @").split(":")[0], lines


def main():
    sizes = {"chunk": 2048} | {k: int(v) for k, v in (a.split("=") for a in sys.argv[1:])}
    micro = end = 0
    for name, lines in functions(sys.stdin.read()):
        if re.fullmatch(r"train\.micro\..*\.one", name):
            micro += function_bytes(lines, sizes)
        elif re.fullmatch(r"train\.finish\..*\.one", name):
            end += function_bytes(lines, sizes)
    print(f"{micro / 1e6:.1f} {end / 1e6:.1f}")


main()
