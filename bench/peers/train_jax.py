# A model in JAX, a step on request: train_jax.py gpt2|llama jit B T DROPOUT
# Needs the packages jax and numpy. One jitted function a step, its arguments donated; the layers unrolled, which
# was faster here than a scan; dropout by XLA's own generator (unsafe_rbg), the fastest that JAX has.
import functools
import importlib
import sys

import jax
import jax.numpy as jnp

from serve import sample, serve

model = importlib.import_module(sys.argv[1] + "_jax")


def adamw(w, g, m, v, t, scale):
    g = g * scale
    m = 0.9 * m + 0.1 * g
    v = 0.95 * v + 0.05 * g * g
    u = m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.95**t)) + 1e-8)
    return w - 6e-5 * (u + (0.1 if w.ndim == 2 else 0.0) * w), m, v


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def train(rate, w, m, v, t, tokens, labels):
    key = jax.random.fold_in(jax.random.key(1, impl="unsafe_rbg"), t)
    loss, g = jax.value_and_grad(model.loss_of)(w, tokens, labels, rate, key)
    total = jnp.sqrt(sum((x * x).sum() for x in jax.tree.leaves(g)))
    scale = jnp.minimum(1.0, 1.0 / (total + 1e-6))
    out = jax.tree.map(lambda *x: adamw(*x, t.astype(jnp.float32), scale), w, g, m, v)
    w, m, v = (jax.tree.map(lambda x: x[i], out, is_leaf=lambda x: isinstance(x, tuple)) for i in range(3))
    return loss, w, m, v


def main():
    b, t, drop = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    text = sample(b, t).astype("int32")
    w = model.init(jax.random.key(0))
    state = [w, jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w)]
    done = [0]

    def step():
        done[0] += 1
        loss, *state[:] = train(drop, *state, jnp.int32(done[0]), text[:, :-1], text[:, 1:])
        return float(loss)

    serve(step, "JAX %s" % jax.__version__)


main()
