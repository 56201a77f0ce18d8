# GPT-2 124M in JAX. The weights are those of models/gpt2.nm: vocabulary padded to 50304, tied head, biases.
import math

import jax
import jax.numpy as jnp

VOCAB, D, HEADS, LAYERS, CONTEXT = 50304, 768, 12, 12, 1024


def init(key):
    def normal(i, *shape, std=0.02):
        return std * jax.random.normal(jax.random.fold_in(key, i), shape)

    def layer(i):
        out = 0.02 / math.sqrt(2 * LAYERS)
        return {"ln_1": jnp.ones(D), "ln_1b": jnp.zeros(D), "ln_2": jnp.ones(D), "ln_2b": jnp.zeros(D),
                "qkv": normal(i, D, 3 * D), "qkvb": jnp.zeros(3 * D), "o": normal(i + 1, D, D, std=out), "ob": jnp.zeros(D),
                "up": normal(i + 2, D, 4 * D), "upb": jnp.zeros(4 * D), "down": normal(i + 3, 4 * D, D, std=out), "downb": jnp.zeros(D)}

    return {"embed": normal(0, VOCAB, D), "position": normal(1, CONTEXT, D), "ln_f": jnp.ones(D), "ln_fb": jnp.zeros(D),
            "blocks": [layer(4 * i + 4) for i in range(LAYERS)]}


def norm(x, w, b):
    h = x - x.mean(-1, keepdims=True)
    return h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-5) * w + b


def dropout(x, rate, key, i):
    if rate == 0:
        return x
    return jnp.where(jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate, x.shape), x / (1 - rate), 0)


def attention(q, k, v, rate, key, i):
    s = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    t = s.shape[-1]
    p = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((t, t), bool)), s, -jnp.inf), -1)
    return jnp.einsum("bhqk,bkhd->bqhd", dropout(p, rate, key, i), v)


def block(x, w, rate, key, i):
    b, t, _ = x.shape
    n = norm(x, w["ln_1"], w["ln_1b"])
    q, k, v = (y.reshape(b, t, HEADS, -1) for y in jnp.split(n @ w["qkv"] + w["qkvb"], 3, -1))
    a = attention(q, k, v, rate, key, i)
    x = x + dropout(a.reshape(b, t, D) @ w["o"] + w["ob"], rate, key, i + 1)
    n = norm(x, w["ln_2"], w["ln_2b"])
    h = jax.nn.gelu(n @ w["up"] + w["upb"], approximate=True)
    return x + dropout(h @ w["down"] + w["downb"], rate, key, i + 2)


def loss_of(w, tokens, labels, rate, key):
    x = dropout(w["embed"][tokens] + w["position"][: tokens.shape[1]], rate, key, 0)
    for i, layer in enumerate(w["blocks"]):
        x = block(x, layer, rate, key, 3 * i + 1)
    logits = norm(x, w["ln_f"], w["ln_fb"]) @ w["embed"].T
    picked = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - picked).mean()
