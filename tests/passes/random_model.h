// Random models: a small language model that trains, as text, its layers made of what layers are
// made of. The same seed gives the same text.
#ifndef NM_TESTS_PASSES_RANDOM_MODEL_H
#define NM_TESTS_PASSES_RANDOM_MODEL_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct writer {
    nm_arena *arena;
    uint64_t state;
    const char *text;
    int names; // of parameters
} writer;

static uint32_t draw_of(writer *w, uint32_t n)
{
    w->state = w->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->state >> 33) % n;
}

static const char *any_of(writer *w, uint32_t n, const char *const *list)
{
    return list[draw_of(w, n)];
}

#define ANY(w, ...)                                                                                \
    any_of(w, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

#define WRITE(w, ...)                                                                              \
    ((w)->text = nm_arena_fmt((w)->arena, "%s%s", (w)->text, nm_arena_fmt((w)->arena, __VA_ARGS__)))

// --- layers: each reads x and changes it ---------------------------------------------------------

static void write_norm(writer *w)
{
    const char *norm = ANY(w, "layer_norm(x, d)", "layer_norm(x, d, bias = false)",
                           "rms_norm(x, d)", "rms_norm(x, d, one_plus = true)");
    if (draw_of(w, 5))
        WRITE(w, "  n = norm%d: %s\n", w->names++, norm);
    else
        WRITE(w, "  n = x\n");
}

static const char *bias(writer *w) { return ANY(w, "", ", bias"); }

// y, as it is or dropped, to what x was.
static void write_residual(writer *w)
{
    WRITE(w, "  x = %s\n",
          ANY(w, "x + y", "x + y", "x + dropout(y, drop)", "x + y * 0.5", "(x + y) * 0.7"));
}

static void write_mlp(writer *w)
{
    const char *act = ANY(w, "gelu_tanh", "gelu", "silu", "relu", "tanh", "quick_gelu");
    int k = w->names++;
    write_norm(w);
    WRITE(w, "  h = %s(up%d: linear(n, d -> ff%s))\n", act, k, bias(w));
    if (draw_of(w, 2))
        WRITE(w, "  h = h * (gate%d: linear(n, d -> ff%s))\n", k, bias(w));
    WRITE(w, "  y = down%d: linear(h, ff -> d%s)\n", k, bias(w));
    write_residual(w);
}

static void write_attention(writer *w)
{
    const char *heads = ANY(w, "heads", "kv"), *turned = ANY(w, "", "rope");
    int k = w->names++;
    write_norm(w);
    WRITE(w, "  q = q%d: linear(n, d -> heads hd%s)\n", k, bias(w));
    WRITE(w, "  k = k%d: linear(n, d -> %s hd%s)\n", k, heads, bias(w));
    WRITE(w, "  v = v%d: linear(n, d -> %s hd%s)\n", k, heads, bias(w));
    if (*turned)
        WRITE(w, "  q = rope(q, seq, hd)\n  k = rope(k, seq, hd)\n");
    WRITE(w, "  a = attention(q, k, v, seq, hd%s)\n",
          ANY(w, "", ", causal", ", causal", ", causal, dropout = drop"));
    WRITE(w, "  y = o%d: linear(a, heads hd -> d%s)\n", k, bias(w));
    write_residual(w);
}

static void write_gate(writer *w)
{
    int k = w->names++;
    write_norm(w);
    WRITE(w, "  x = x + n * sigmoid(turn%d: linear(x, d -> d%s))\n", k, bias(w));
}

static void write_scale(writer *w)
{
    int k = w->names++;
    WRITE(w, "  param s%d[d] ~ 1\n  x = x * s%d + %s\n", k, k, ANY(w, "0.1", "sin(x)", "s0"));
}

static void write_layers(writer *w)
{
    static void (*const write[])(writer *) = {write_mlp, write_attention, write_gate, write_scale};
    static const uint32_t kind[] = {0, 0, 0, 1, 1, 2, 3};
    WRITE(w, "  param s0[d] ~ 1\n");
    for (int i = 0, n = 1 + (int)draw_of(w, 2); i < n; i++)
        write[kind[draw_of(w, 7)]](w);
}

// --- the model -----------------------------------------------------------------------------------

static void write_module(writer *w, const char *name)
{
    WRITE(w, "module %s(x[batch, seq, d]) {\n", name);
    write_layers(w);
    WRITE(w, "  return x\n}\n\n");
}

static void write_head(writer *w)
{
    if (draw_of(w, 2))
        WRITE(w, "  x = last: rms_norm(x, d)\n");
    WRITE(w, "  return %s\n}\n\n",
          ANY(w, "dot(x, embed.w, d)", "head: linear(x, d -> vocab)",
              "head: linear(x, d -> vocab, bias)", "softcap(head: linear(x, d -> vocab), 5.0)"));
}

static void write_step(writer *w)
{
    WRITE(w,
          "train (tokens: vocab[batch, seq], labels: vocab[batch, seq]) {\n"
          "  minimize cross_entropy(lm(tokens), labels, vocab%s) {\n",
          ANY(w, "", "", ", smoothing = 0.1"));
    WRITE(w, "    %s\n",
          ANY(w, "adamw(lr = 0.01)", "sgd(lr = 0.01, momentum = 0.9)", "lion(lr = 0.01)",
              "adamw(lr = 0.01, weight_decay = 0.1)"));
    WRITE(w, "%s  }\n}\n", ANY(w, "", "    clip = 0.5\n"));
}

static const char *random_model(nm_arena *arena, uint64_t seed)
{
    writer w = {.arena = arena, .state = seed, .names = 1};
    w.text = "dims vocab = 48, d = 8, heads = 4, kv = 2, hd = 4, ff = 16, layers = 3, more = 2\n"
             "dims batch = ?, seq = ?\n"
             "const drop = 0.25\n\n";
    draw_of(&w, 2); // the first of a small seed is always the same
    bool two = draw_of(&w, 3) == 0;
    WRITE(&w, "mesh { %s   pp: layers%s }\n\n",
          ANY(&w, "dp: batch", "tp: heads kv ff vocab seq", "cp: seq"), two ? " more" : "");
    write_module(&w, "block");
    if (two)
        write_module(&w, "other");
    WRITE(&w,
          "model lm(tokens: vocab[batch, seq]) {\n  x = embed(tokens, vocab -> d)\n"
          "  repeat layers { x = block(x) }\n%s",
          two ? "  repeat more { x = other(x) }\n" : "");
    write_head(&w);
    write_step(&w);
    return w.text;
}

#endif
