// libFuzzer target: any bytes as the config.json of --hf-config. It gives sizes or at least one
// error; it never crashes, hangs or leaks. The model has every kind of row, under the keys of the
// configs in tests/frontend/config.
#include "frontend/elab.h"
#include "frontend/weights.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char model[] =
    "dims vocab, d, heads, kv, hd, ff = 4 * d, layers\n"
    "dims batch = ?\n"
    "const theta = 500000.0, stretch = 1.0, tied = false, window = none, act = \"silu\", ends = "
    "(1, 2)\n"
    "model m(x[batch, d]) = linear(linear(x, d -> ff), ff -> d)\n"
    "infer (x[batch, d]) { return m(x) }\n"
    "weights hf {\n"
    "  config {\n"
    "    model_type: \"llama\"  vocab_size: vocab  hidden_size | n_embd: d  num_attention_heads: "
    "heads = 2\n"
    "    num_key_value_heads: kv = heads  head_dim: hd = d // heads  intermediate_size: ff = 4 * "
    "d\n"
    "    num_hidden_layers: layers = 2  rope_theta | rope_parameters.rope_theta: theta = 10000.0\n"
    "    tie_word_embeddings: tied = false  sliding_window: window = none  hidden_act: act = "
    "\"silu\"\n"
    "    if stretch > 1 { rope_scaling | rope_parameters { rope_type | type: \"llama3\" = "
    "\"default\"\n"
    "      factor: stretch = 1.0  low_freq_factor: 1.0 } } else { mlp_bias: false }\n"
    "    eos_token_id: ends = (1, 2)  rms_norm_eps: 1e-5\n"
    "  }\n"
    "  export { architectures: (\"M\", d, tied) }\n"
    "}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nm_arena arena = {0};
    nm_diag diag = {0};
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_text(&arena, &diag, "m.nm", model, strlen(model));
    nm_elab_opts opts = {
        .config = nm_source_text(&arena, &diag, "config.json", (const char *)data, size)};
    nm_ast_program *prog = nm_load_text(m, src);
    if (!prog)
        nm_bug("the model is wrong");
    bool ok = opts.config && nm_elaborate(m, prog, &opts);
    if (ok == (diag.errors > 0))
        nm_bug("the answer was %d, and %u errors were reported", ok, diag.errors);
    nm_arena_free(&arena);
    return 0;
}
