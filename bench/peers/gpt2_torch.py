# GPT-2 124M in PyTorch. The weights are those of models/gpt2.nm: vocabulary padded to 50304, tied head, biases.
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

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


class Model(nn.Module):
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
