# Two layers of Llama 3.2 1B in JAX, as models/llama3.nm has them: bench/cpu.sh says which. DROPOUT is none.
import math

import jax
import jax.numpy as jnp

VOCAB, D, HEADS, KV, HD, FF, LAYERS, THETA = 8192, 2048, 32, 8, 64, 8192, 2, 500000.0


def init(key):
    def normal(i, *shape):
        return 0.02 * jax.random.normal(jax.random.fold_in(key, i), shape)

    def layer(i):
        return {"norm_1": jnp.ones(D), "norm_2": jnp.ones(D), "qkv": normal(i, D, (HEADS + 2 * KV) * HD),
                "o": normal(i + 1, HEADS * HD, D), "gate_up": normal(i + 2, D, 2 * FF), "down": normal(i + 3, FF, D)}

    return {"embed": normal(0, VOCAB, D), "norm": jnp.ones(D), "blocks": [layer(4 * i + 1) for i in range(LAYERS)]}


def norm(x, w):
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w


def rope(x, cos, sin):
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate((a * cos - b * sin, b * cos + a * sin), -1)


def attention(q, k, v):
    """q [b, t, KV, HEADS / KV, HD], k and v [b, t, KV, HD]: a head of k serves several of q."""
    s = jnp.einsum("bqcgd,bkcd->bcgqk", q, k) / math.sqrt(HD)
    t = s.shape[-1]
    p = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((t, t), bool)), s, -jnp.inf), -1)
    return jnp.einsum("bcgqk,bkcd->bqcgd", p, v)


def block(x, w, cos, sin):
    b, t, _ = x.shape
    q, k, v = jnp.split(norm(x, w["norm_1"]) @ w["qkv"], (HEADS * HD, (HEADS + KV) * HD), -1)
    q = rope(q.reshape(b, t, HEADS, HD), cos, sin).reshape(b, t, KV, HEADS // KV, HD)
    a = attention(q, rope(k.reshape(b, t, KV, HD), cos, sin), v.reshape(b, t, KV, HD))
    x = x + a.reshape(b, t, HEADS * HD) @ w["o"]
    gate, up = jnp.split(norm(x, w["norm_2"]) @ w["gate_up"], 2, -1)
    return x + (jax.nn.silu(gate) * up) @ w["down"]


def loss_of(w, tokens, labels, rate, key):
    assert rate == 0
    angle = jnp.outer(jnp.arange(tokens.shape[1]), THETA ** (-jnp.arange(0, HD, 2) / HD))[:, None]
    x = w["embed"][tokens]
    for layer in w["blocks"]:
        x = block(x, layer, jnp.cos(angle), jnp.sin(angle))
    logits = norm(x, w["norm"]) @ w["embed"].T
    picked = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - picked).mean()
