# A peer's side of the pipe: it says its name when it is warm, and does a step a line.
# Needs the package numpy.
import sys

import numpy

WARM = 2  # steps before the first that counts


def sample(b, t):
    """B samples of T + 1 tokens, as bytes of a text would be."""
    return numpy.random.default_rng(1).integers(0, 256, (b, t + 1), dtype=numpy.int64)


def serve(step, name):
    for _ in range(WARM):
        step()
    print(name, flush=True)
    for _ in sys.stdin:
        print(step(), flush=True)
