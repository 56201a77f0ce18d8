# GPT-2 124M or the layers of Llama (gpt2_torch.py, llama_torch.py) writes at batch 1 in PyTorch, eager, with a cache of
# keys and values: decode_torch.py gpt2|llama TOKENS. Prints milliseconds a token, by the wall and of CPU time, without
# the first 8 tokens. Weights lie as F.linear reads them, row by row; the likeliest token is taken, which costs least.
import importlib
import resource
import sys
import time

import torch
import torch.nn.functional as F

WARM = 8


def attend(q, k, v, cache, at):
    """q, k, v [heads, 1, hd]; the cache holds those of the tokens before."""
    cache[0][:, at : at + 1], cache[1][:, at : at + 1] = k, v
    n = q.shape[0] // k.shape[0]
    q = q.view(k.shape[0], n, -1)
    return F.scaled_dot_product_attention(q, cache[0][:, : at + 1], cache[1][:, : at + 1]).reshape(1, -1)


def gpt2_block(m, b, x, cache, at):
    q, k, v = (y.view(m.HEADS, 1, -1) for y in b.qkv(b.ln_1(x)).split(m.D, 1))
    x = x + b.o(attend(q, k, v, cache, at))
    return x + b.down(F.gelu(b.up(b.ln_2(x)), approximate="tanh"))


def llama_block(m, b, x, cache, at, cos, sin):
    q, k, v = b.qkv(b.norm_1(x)).view(-1, 1, m.HD).split((m.HEADS, m.KV, m.KV), 0)
    x = x + b.o(attend(m.rope(q, cos, sin), m.rope(k, cos, sin), v, cache, at))
    gate, up = b.gate_up(b.norm_2(x)).chunk(2, -1)
    return x + b.down(F.silu(gate) * up)


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def main():
    name, n = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    m = importlib.import_module(name + "_torch")
    model = m.Model(0)
    kv, hd = (m.HEADS, m.D // m.HEADS) if name == "gpt2" else (m.KV, m.HD)
    caches = [torch.zeros(2, kv, n, hd) for _ in range(m.LAYERS)]
    cos, sin = m.turns(n) if name == "llama" else (None, None)
    token = torch.tensor([0])
    with torch.inference_mode():
        for i in range(n):
            if i == WARM:
                wall, used = time.monotonic(), cpu()
            x = model.embed(token)
            if name == "gpt2":
                x = x + model.position.weight[i]
            for b, cache in zip(model.blocks, caches):
                x = gpt2_block(m, b, x, cache, i) if name == "gpt2" else llama_block(m, b, x, cache, i, cos[i], sin[i])
            token = F.linear((model.ln_f if name == "gpt2" else model.norm)(x), model.embed.weight).argmax(-1)
    print("%.3f %.3f" % (1e3 * (time.monotonic() - wall) / (n - WARM), 1e3 * (cpu() - used) / (n - WARM)))


main()
