# GPT-2 124M in PyTorch, a step on request: gpt2_torch.py eager|compile B T DROPOUT
# Needs the package torch (and, for compile, a C++ compiler).
#
# The settings that were fastest here: scaled_dot_product_attention, AdamW fused, gradients set to
# None, denormals flushed, memory that stays in the process (drive.py sets malloc's variables).
# The weights are those of models/gpt2.nm: vocabulary padded to 50304, tied head, biases.
import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from serve import sample, serve

VOCAB, D, HEADS, LAYERS, CONTEXT = 50304, 768, 12, 12, 1024


class Block(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.drop = drop
        self.ln_1, self.ln_2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.o = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (y.view(b, t, HEADS, -1).transpose(1, 2) for y in self.qkv(self.ln_1(x)).split(D, 2))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.drop)
        x = x + F.dropout(self.o(a.transpose(1, 2).reshape(b, t, D)), self.drop)
        return x + F.dropout(self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh")), self.drop)


class GPT2(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.drop = drop
        self.embed, self.position = nn.Embedding(VOCAB, D), nn.Embedding(CONTEXT, D)
        self.blocks = nn.ModuleList(Block(drop) for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(D)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if name.endswith(("o.weight", "down.weight")) else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens, labels):
        at = torch.arange(tokens.shape[1])
        x = F.dropout(self.embed(tokens) + self.position(at), self.drop)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.embed.weight)
        return F.cross_entropy(logits.view(-1, VOCAB), labels.reshape(-1))


def main():
    how, b, t, drop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    torch.manual_seed(1)
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    model = GPT2(drop)
    parameters = list(model.parameters())
    groups = [{"params": [p for p in parameters if p.dim() == 2], "weight_decay": 0.1},
              {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-5, betas=(0.9, 0.95), fused=True)
    forward = torch.compile(model) if how == "compile" else model
    tokens = sample(b, t)

    def step():
        loss = forward(torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    serve(step, "PyTorch %s" % torch.__version__.split("+")[0])


main()
