# A model in PyTorch, a step on request: train_torch.py gpt2|llama HOW B T DROPOUT, HOW as in HOW below
# Needs the package torch and, for all but eager, a C++ compiler. AdamW fused, gradients set to None, denormals
# flushed, memory that stays in the process (drive.py sets malloc's variables), scaled_dot_product_attention.
# Inductor's freezing is for inference: it does nothing where weights are trained.
import importlib
import sys

import torch

from serve import sample, serve

HOW = {
    "eager": None,
    "compile": {},
    "autotune": {"mode": "max-autotune-no-cudagraphs"},
    "cpp_wrapper": {"options": {"cpp_wrapper": True}},
}


def main():
    name, how, b, t, drop = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    torch.manual_seed(1)
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    model = importlib.import_module(name + "_torch").Model(drop)
    parameters = list(model.parameters())
    groups = [{"params": [p for p in parameters if p.dim() == 2], "weight_decay": 0.1},
              {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-5, betas=(0.9, 0.95), fused=True)
    forward = model if HOW[how] is None else torch.compile(model, **HOW[how])
    tokens = sample(b, t)

    def step():
        loss = forward(torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    serve(step, "PyTorch %s %s" % (torch.__version__.split("+")[0], how))


main()
