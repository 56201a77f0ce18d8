#!/usr/bin/env python3
"""models/mixtral.nm against a Mixtral written down a second time, in numpy and f64.

    nemocc models/mixtral.nm -D vocab=128 -D d=16 -D heads=4 -D kv=2 -D hd=4 -D ff=24 -D experts=4 -D layers=2 \\
        --target host --precision f32 -o mixtral
    bench/moe_reference.py ./mixtral [FLAGS]

Trains 20 steps on three samples of 16 tokens, reads the weights from the last checkpoint but one and the gradients of
the step behind it from the last one (with the first of betas 0, AdamW's first moment is the gradient). Here tokens go to the
experts that they chose, one by one, as in the paper (Jiang et al. 2024), and the loss has its balance term (Fedus et
al. 2021). A gradient is held against central differences along a random direction of each parameter."""
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SEQ, SAMPLES, STEPS, CHOICES, BALANCE, THETA = 16, 3, 20, 2, 0.01, 1e6


def read_tensors(folder):
    """The tensors of a checkpoint of one rank, by name."""
    raw = (folder / "00000.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    index = json.loads(raw[8 : 8 + size])
    index.pop("__metadata__")
    body = raw[8 + size :]
    return {
        name: np.frombuffer(body[row["data_offsets"][0] : row["data_offsets"][1]], "<f4")
        .reshape(row["shape"])
        .astype(np.float64)
        for name, row in index.items()
    }


def rms_norm(x, w):
    return w * x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-5)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rope(x):  # [batch, seq, ..., hd]
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * THETA ** (-np.arange(half) / half)
    angle = angle.reshape((1, x.shape[1]) + (1,) * (x.ndim - 3) + (half,))
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)), -1)


def attention(n, p, i):
    q = rope(np.einsum("bsd,dkgh->bskgh", n, p["decoder.q.w"][i]))
    k = rope(np.einsum("bsd,dkh->bskh", n, p["decoder.k.w"][i]))
    v = np.einsum("bsd,dkh->bskh", n, p["decoder.v.w"][i])
    score = np.einsum("bskgh,btkh->bkgst", q, k) / np.sqrt(q.shape[-1])
    score = np.where(np.tril(np.ones((n.shape[1], n.shape[1]), bool)), score, -np.inf)
    mixed = np.einsum("bkgst,btkh->bskgh", softmax(score), v)
    return np.einsum("bskgh,kghd->bsd", mixed, p["decoder.o.w"][i])


def experts(n, p, i):
    """What the chosen experts give, and the layer's balance term."""
    tokens = n.reshape(-1, n.shape[-1])
    logits = tokens @ p["decoder.moe.router.w"][i]
    count = logits.shape[-1]
    out, load = np.zeros_like(tokens), np.zeros(count)
    for t, x in enumerate(tokens):
        chosen = np.argsort(-logits[t], kind="stable")[:CHOICES]
        load[chosen] += 1 / len(tokens)
        for weight, e in zip(softmax(logits[t][chosen]), chosen):
            gate = x @ p["decoder.moe.gate.w"][i][e]
            up = x @ p["decoder.moe.up.w"][i][e]
            out[t] += weight * (gate / (1 + np.exp(-gate)) * up) @ p["decoder.moe.down.w"][i][e]
    return out.reshape(n.shape), count / CHOICES * np.sum(softmax(logits).mean(0) * load)


def loss_of(p, tokens, labels):
    x, balance = p["embed.w"][tokens], 0.0
    for i in range(len(p["decoder.q.w"])):
        x = x + attention(rms_norm(x, p["decoder.attn_norm.w"][i]), p, i)
        y, aux = experts(rms_norm(x, p["decoder.mlp_norm.w"][i]), p, i)
        x, balance = x + y, balance + BALANCE * aux
    logits = rms_norm(x, p["norm.w"]) @ p["head.w"]
    picked = np.take_along_axis(softmax(logits), labels[..., None], -1)
    return balance - np.mean(np.log(picked)), balance


def train(program, more, work):
    """The rows of the last step's metrics, and the last two checkpoints."""
    text = work / "text"
    text.write_bytes(np.random.default_rng(5).integers(32, 127, SEQ * SAMPLES + 1, dtype=np.uint8).tobytes())
    flags = (
        f"--data {text} --data-order sequential --steps {STEPS} --seq {SEQ} --micro-batch {SAMPLES} --global-batch {SAMPLES} "
        f"--lr 2e-2 --lr-schedule constant --warmup 1 --betas 0,0.95 --clip 1e9 --save {work}/saved --save-every 1 --log-dir {work}"
    )
    subprocess.run([program, *flags.split(), *more], check=True, stdout=subprocess.DEVNULL)
    metrics = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    data = np.frombuffer(text.read_bytes(), np.uint8).astype(int)
    tokens, labels = data[:-1].reshape(SAMPLES, SEQ), data[1:].reshape(SAMPLES, SEQ)
    saved = [read_tensors(work / f"saved/step-{step:06d}") for step in (STEPS - 1, STEPS)]
    return metrics[-1], tokens, labels, *saved


def slope(p, name, direction, tokens, labels):
    def at(h):
        return loss_of({**p, name: p[name] + h * direction}, tokens, labels)[0]

    return (at(1e-5) - at(-1e-5)) / 2e-5


def main():
    random, bad = np.random.default_rng(7), 0
    with tempfile.TemporaryDirectory() as work:
        metrics, tokens, labels, before, after = train(sys.argv[1], sys.argv[2:], Path(work))
    p = {name: x for name, x in before.items() if not name.startswith("optim.")}
    loss, balance = loss_of(p, tokens, labels)
    for name, have, want in (("loss", metrics["loss"], loss), ("balance", metrics["balance"], balance)):
        print(f"{name:24} {have:12.7f} {want:12.7f}")
        bad += abs(have - want) > 1e-5 * abs(want)
    for name in p:
        direction = random.standard_normal(p[name].shape)
        have = float(np.sum(after[f"optim.adamw.m.{name}"] * direction))
        want = slope(p, name, direction, tokens, labels)
        size = np.linalg.norm(after[f"optim.adamw.m.{name}"])  # says how near is near
        print(f"{name:24} {have:12.7f} {want:12.7f}")
        bad += not size > 0 or abs(have - want) > 2e-4 * size
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
