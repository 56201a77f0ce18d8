"""What PyTorch does on the same GPU, as one JSON object on standard output. One process a measurement: nothing that it
has allocated or compiled is there for the next.

    peer.py ceilings                          a large bf16 product (cuBLASLt), a large copy
    peer.py attention NAME BATCH SEQ          SDPA's flash attention of a program of programs.py, forward and backward
    peer.py train NAME BATCH SEQ STEPS        a training step: torch.compile, bf16, flash SDPA, fused AdamW, clipping
"""

import json
import math
import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import programs

PADDED = 128  # the vocabulary's rows, as a PyTorch user does it for speed


def milliseconds(work, times=20):
    """The median, by device events, after a warm-up."""
    for _ in range(3):
        work()
    taken = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end))
    return statistics.median(taken)


# --- the chip --------------------------------------------------------------------------------------


def ceilings():
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = milliseconds(lambda: a @ b)
    source = torch.randn(2**29, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source))
    return {"matmul_tflops": 2 * n**3 / product / 1e9, "copy_gbs": 2 * source.nbytes / copy / 1e6,
            "name": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}


def attention(program, batch, seq):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = (torch.randn(batch, program.heads, seq, program.hd, device="cuda", dtype=torch.bfloat16, requires_grad=True)
               for _ in range(3))
    gradient = torch.randn_like(q)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        forward = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        backward = milliseconds(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True))
    flops = batch * program.attention_flops(seq)
    return {"forward_tflops": flops / forward / 1e9, "backward_tflops": 2.5 * flops / backward / 1e9}


# --- a training step ---------------------------------------------------------------------------------


class Rope(torch.nn.Module):
    def __init__(self, hd):
        super().__init__()
        self.register_buffer("frequency", 500000.0 ** (-torch.arange(0, hd, 2).float() / hd), persistent=False)

    def forward(self, x):  # [batch, heads, seq, hd]
        angle = torch.outer(torch.arange(x.shape[2], device=x.device), self.frequency)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        gated = p.gated()
        norm = torch.nn.RMSNorm if gated else torch.nn.LayerNorm
        self.p, self.rope = p, Rope(p.hd) if gated else None
        self.norm_1, self.norm_2 = norm(p.d), norm(p.d)
        self.qkv = torch.nn.Linear(p.d, (p.heads + 2 * p.kv) * p.hd, bias=not gated)
        self.out = torch.nn.Linear(p.heads * p.hd, p.d, bias=not gated)
        self.up = torch.nn.Linear(p.d, (2 if gated else 1) * p.ff, bias=not gated)
        self.down = torch.nn.Linear(p.ff, p.d, bias=not gated)

    def attend(self, x):
        p, (batch, seq, _) = self.p, x.shape
        q, k, v = (t.view(batch, seq, -1, p.hd).transpose(1, 2)
                   for t in self.qkv(x).split([p.heads * p.hd, p.kv * p.hd, p.kv * p.hd], -1))
        if self.rope:
            q, k = self.rope(q), self.rope(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=p.kv != p.heads)
        return self.out(y.transpose(1, 2).reshape(batch, seq, -1))

    def feed(self, x):
        if not self.p.gated():
            return self.down(F.gelu(self.up(x), approximate="tanh"))
        gate, up = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)

    def forward(self, x):
        x = x + self.attend(self.norm_1(x))
        return x + self.feed(self.norm_2(x))


class Model(torch.nn.Module):
    def __init__(self, p, seq):
        super().__init__()
        vocab = math.ceil(p.vocab / PADDED) * PADDED
        self.embed = torch.nn.Embedding(vocab, p.d)
        self.position = None if p.gated() else torch.nn.Embedding(seq, p.d)
        self.blocks = torch.nn.ModuleList(Block(p) for _ in range(p.layers))
        self.norm = torch.nn.RMSNorm(p.d) if p.gated() else torch.nn.LayerNorm(p.d)
        self.head = torch.nn.Linear(p.d, vocab, bias=False)
        if p.tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens, labels):
        x = self.embed(tokens)
        if self.position:
            x = x + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), labels.flatten())


def train(program, batch, seq, steps):
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    with torch.device("cuda"):
        model = Model(program, seq)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    compiled = torch.compile(model)
    tokens = torch.randint(0, program.vocab, (2, batch, seq), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = compiled(tokens[0], tokens[1])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    start = time.monotonic()
    first = step().item()
    compile_seconds = time.monotonic() - start
    taken = milliseconds(step, steps)
    return {"tokens_per_s": 1000 * batch * seq / taken, "step_ms": taken, "compile_s": compile_seconds, "first_loss": first,
            "memory_gib": torch.cuda.max_memory_allocated() / 2**30}


def main(what, *words):
    if what == "ceilings":
        return ceilings()
    program, numbers = programs.find(words[0]), [int(w) for w in words[1:]]
    return {"attention": attention, "train": train}[what](program, *numbers)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
