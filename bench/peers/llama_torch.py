# Two layers of Llama 3.2 1B in PyTorch, as models/llama3.nm has them: bench/cpu.sh says which. DROPOUT is none.
import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, D, HEADS, KV, HD, FF, LAYERS, THETA = 8192, 2048, 32, 8, 64, 8192, 2, 500000.0


def turns(t):
    """cos and sin [t, HD / 2] of rope's angles."""
    angle = torch.outer(torch.arange(t).float(), THETA ** (-torch.arange(0, HD, 2).float() / HD))
    return angle.cos(), angle.sin()


def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.RMSNorm(D, eps=1e-5), nn.RMSNorm(D, eps=1e-5)
        self.qkv, self.o = nn.Linear(D, (HEADS + 2 * KV) * HD, bias=False), nn.Linear(HEADS * HD, D, bias=False)
        self.gate_up, self.down = nn.Linear(D, 2 * FF, bias=False), nn.Linear(FF, D, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        qkv = self.qkv(self.norm_1(x)).view(b, t, HEADS + 2 * KV, HD).transpose(1, 2)
        q, k, v = qkv.split((HEADS, KV, KV), 1)
        q, k, v = rope(q, cos, sin), *(y.repeat_interleave(HEADS // KV, 1) for y in (rope(k, cos, sin), v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, HEADS * HD))
        gate, up = self.gate_up(self.norm_2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, drop):
        super().__init__()
        assert drop == 0
        self.embed = nn.Embedding(VOCAB, D)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(D, eps=1e-5)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, labels):
        x, (cos, sin) = self.embed(tokens), turns(tokens.shape[1])
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.view(-1, VOCAB), labels.reshape(-1))
