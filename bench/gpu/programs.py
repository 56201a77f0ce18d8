"""The programs that check and bench run on a GPU: compiled where the compiler is, carried to where the GPU is."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/gpu"  # ignored by git


@dataclasses.dataclass(frozen=True)
class Program:
    """A model as it is compiled. Its sizes are repeated where a peer has to have the same."""

    name: str
    model: str
    flags: str
    layers: int = 0
    d: int = 0
    heads: int = 0
    kv: int = 0
    hd: int = 0
    ff: int = 0
    vocab: int = 0
    tied: bool = False
    arch: str = ""  # instead of build's

    def gated(self):
        return self.model == "llama3"

    def adamw_line(self):
        """"gpt2.nm:29": where the model says its optimizer."""
        lines = (ROOT / f"models/{self.model}.nm").read_text().splitlines()
        return f"{self.model}.nm:{1 + next(i for i, line in enumerate(lines) if 'adamw(' in line)}"

    def matrix_parameters(self):
        """Those that a token is multiplied with: no embedding, but the head."""
        attention = 2 * self.d * (self.heads + self.kv) * self.hd
        return self.layers * (attention + (3 if self.gated() else 2) * self.d * self.ff) + self.d * self.vocab

    def attention_flops(self, seq):
        """Forward, of one layer and sample: two causal products."""
        return 2 * seq * seq * self.heads * self.hd

    def flops(self, batch, seq):
        """Of a step, forward and backward, nothing computed twice: the F of model FLOPs utilisation."""
        return 3 * batch * (2 * seq * self.matrix_parameters() + self.layers * self.attention_flops(seq))


def heads(hd):
    """A small GPT-2 with heads of this size, which attention kernels are compiled for."""
    return Program(f"heads_{hd}", "gpt2", f"--preset tiny -D heads=2 -D hd={hd} -D d={2 * hd}")


PROGRAMS = [
    Program("gpt2_tiny", "gpt2", "--preset tiny", layers=4, d=128, heads=8, kv=8, hd=16, ff=256, vocab=256, tied=True),
    Program("llama3_tiny", "llama3", "--preset tiny"),
    Program("gpt2_tiny_sm_80", "gpt2", "--preset tiny", arch="sm_80"),  # which an sm_90 takes, too
    Program("gpt2_tiny_fast", "gpt2", "--preset tiny --fast-attention-grad"),
    Program("phi3_tiny", "phi3", "--preset tiny"),
    Program("gemma2_tiny", "gemma2", "--preset tiny"),
    *(heads(hd) for hd in (16, 32, 64, 80, 96, 128, 256)),
    Program("gpt2_124m", "gpt2", "--preset 124m -D drop=0", layers=12, d=768, heads=12, kv=12, hd=64, ff=3072,
            vocab=50257, tied=True),
    Program("llama3_8b_4", "llama3", "--preset 8b -D layers=4", layers=4, d=4096, heads=32, kv=8, hd=128, ff=14336,
            vocab=128256),
]


def find(name):
    return next(p for p in PROGRAMS if p.name == name)


def compile_one(program, folder, compiler, arch, flags):
    """Why it failed; None: it is there."""
    command = [compiler, f"models/{program.model}.nm", *program.flags.split(), *flags, "-o", str(folder / program.name)]
    command += ["--arch", program.arch or arch] if arch else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    (folder / program.name).unlink(missing_ok=True)
    first = next((line for line in done.stderr.splitlines() if "error" in line), f"code {done.returncode}")
    return first


def packed(folder):
    """The one file that is carried."""
    return folder.with_name(folder.name + ".tar.xz")


def pack(folder):
    with tarfile.open(packed(folder), "w:xz", preset=3) as tar:
        tar.add(folder, arcname=folder.name)


def unpack(folder):
    """Where the folder is not there, but its file is."""
    if not folder.exists() and packed(folder).exists():
        with tarfile.open(packed(folder)) as tar:
            tar.extractall(folder.parent, filter="data")


def carry_tools(folder, build):
    """The text to train on, what compares checkpoints, and what runs cases."""
    with open(folder / "text", "w") as text:
        subprocess.run(["awk", "-f", "tests/text.awk"], cwd=ROOT, stdout=text, check=True)
    for tool in ("compare", "kernels"):
        shutil.copy(build / "tests/tools" / tool, folder / tool)


# Tests that write their cases: every op's example, random programs, attention, products, whole small programs.
CASE_TESTS = {"ops": "", "random": "1 60", "attention": "", "products": "", "programs": ""}


def write_cases(name, folder, build, arch):
    """Calls of kernels with what the interpreter says of them (tests/codegen/cases.h). Whether the test wrote them."""
    (folder / "cases").mkdir(exist_ok=True)
    for old in (folder / "cases").glob(f"{name}-*"):
        old.unlink()
    variables = {**os.environ, "NEMOCC_CASES": str(folder.absolute() / "cases" / name), "NEMOCC_CASES_ARCH": arch, "NEMOCC_PTXAS": ""}
    command = [str(build.absolute() / f"tests/{name}_gpu_test"), *CASE_TESTS[name].split()]
    return subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL).returncode == 0
