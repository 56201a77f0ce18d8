// config.json against rows: what is the same, what is refused and how, and what an export writes.
#include "tests/runtime/check.h"

#include "runtime/foreign/config_print.h"

#include <string.h>

static const char *const act[] = {"hidden_act"}, *const eps[] = {"rms_norm_eps"},
                         *const theta[] = {"rope_theta", "rope_parameters.rope_theta"},
                         *const factor[] = {"rope_scaling.factor", "rope_parameters.factor"},
                         *const most[] = {"max_position_embeddings"},
                         *const eos[] = {"eos_token_id"};
static const nmdrv_config_row rows[] = {
    {1, act, "\"silu\"", "", 0, "m.nm:1"},
    {1, eps, "1e-05", "1e-06", 0, "m.nm:2"},
    {2, theta, "10000.0", "10000.0", 0, "m.nm:3"},
    {2, factor, "", "1.0", 0, "m.nm:4"},
    {1, most, "512", "", 1, "m.nm:5"},
    {1, eos, "[1, 2]", "[1, 2]", 0, "m.nm:6"},
};
static const nmdrv_weights map = {
    .name = "hf", .n_config = sizeof rows / sizeof *rows, .config = rows};
static nmrt_error e;

static bool fits(const char *text)
{
    return nmrt_config_check_text(&map, text, strlen(text), "DIR", &e) == NMRT_OK;
}

static bool refused(const char *text, const char *why)
{
    return !fits(text) && strstr(e.text, why) && strstr(e.text, "DIR/config.json");
}

static void check_refusals(void)
{
    CHECK(fits("{\"hidden_act\": \"silu\", \"rms_norm_eps\": 0.00001}"));
    CHECK(fits("{\"hidden_act\": \"silu\", \"rms_norm_eps\": 9.999999747378752e-06}")); // the f32
    CHECK(fits("{\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000,"
               " \"rope_parameters\": {\"rope_theta\": 1e4, \"factor\": 1},"
               " \"max_position_embeddings\": 7, \"eos_token_id\": [1,2], \"other\": {}}"));
    CHECK(fits("{\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"rope_theta\": null}"));
    CHECK(refused("{\"hidden_act\": \"gelu\"}", "hidden_act is \"gelu\", and this binary was "
                                                "compiled for \"silu\" (m.nm:1)"));
    CHECK(refused("{}", "hidden_act is not there, and"));
    CHECK(refused("{\"hidden_act\": \"silu\"}", "rms_norm_eps is not there, which means 1e-06"));
    CHECK(refused("{\"hidden_act\": \"silu\", \"rms_norm_eps\": \"1e-5\"}", "\"1e-5\""));
    const char *rest = "{\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, ";
    char text[512];
    snprintf(text, sizeof text, "%s\"rope_parameters\": {\"rope_theta\": 5e5}}", rest);
    CHECK(refused(text, "rope_parameters.rope_theta is 5e5, and this binary"));
    snprintf(text, sizeof text, "%s\"rope_scaling\": {\"factor\": 8.0}}", rest);
    CHECK(refused(text, "rope_scaling.factor is 8.0, and this binary was compiled for 1.0"));
    snprintf(text, sizeof text, "%s\"eos_token_id\": [1, 3]}", rest);
    CHECK(refused(text, "eos_token_id is [1, 3], and"));
    CHECK(refused("{\"hidden_act\": ", "not JSON at byte"));
    CHECK(refused("[]", "is not an object"));
}

static bool prints(const char *base, const char *dtype, const char *want)
{
    nmrt_text out = {0};
    CHECK(nmrt_config_print(&map, base, base ? strlen(base) : 0, dtype, &out, &e) == NMRT_OK);
    bool same = out.at && strcmp(out.at, want) == 0;
    if (!same)
        fprintf(stderr, "%s", out.at ? out.at : "nothing\n");
    nmrt_text_release(&out);
    return same;
}

static void check_print(void)
{
    CHECK(prints(NULL, "float32",
                 "{\n  \"hidden_act\": \"silu\",\n  \"rms_norm_eps\": 1e-05,\n"
                 "  \"rope_theta\": 10000.0,\n  \"max_position_embeddings\": 512,\n"
                 "  \"eos_token_id\": [1, 2],\n  \"torch_dtype\": \"float32\"\n}\n"));
    const char *base =
        "{\"hidden_act\":\"silu\", \"rms_norm_eps\": 1e-5, \"max_position_embeddings\": 7,"
        " \"x\": {\"y\": [1, {\"z\": null}]}, \"dtype\": \"float32\"}";
    CHECK(prints(base, "float32", base)); // nothing differs
    const char *older = "{\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5,"
                        " \"max_position_embeddings\": 7}";
    CHECK(prints(older, "float32", older)); // says no dtype, which is f32
    CHECK(prints(
        base, "bfloat16",
        "{\n  \"hidden_act\": \"silu\",\n  \"rms_norm_eps\": 1e-5,\n"
        "  \"max_position_embeddings\": 7,\n  \"x\": {\n    \"y\": [1, {\"z\": null}]\n  },\n"
        "  \"dtype\": \"bfloat16\"\n}\n"));
    CHECK(
        prints("{\"hidden_act\": \"gelu\", \"rope_parameters\": {\"factor\": 2, \"rope_theta\": 3},"
               " \"dtype\": \"float32\"}",
               "float32",
               "{\n  \"hidden_act\": \"silu\",\n  \"rope_parameters\": {\n"
               "    \"rope_theta\": 10000.0\n  },\n  \"dtype\": \"float32\",\n"
               "  \"rms_norm_eps\": 1e-05,\n  \"max_position_embeddings\": 512\n}\n"));
}

// What is written again says what the rows say, whatever it was made of.
static void check_print_again(void)
{
    static const char *const base[] = {
        "{\"hidden_act\": {\"a\": 1, \"b\": 2}}",        // an object for a word
        "{\"rope_parameters\": [1], \"rope_theta\": 2}", // a list for an object
        "{\"rope_scaling\": {\"factor\": 1}, \"rope_scaling\": {\"factor\": 2}}",
        "{\"rope_scaling\": {\"factor\": 2, \"factor\": 2}}",   // and all of them go
        "{\"hidden_act\": \"silu\", \"hidden_act\": \"gelu\"}", // the last counts
        "{\"hidden_act\": \"gelu\", \"hidden_act\": null}",
        "{\"hidden\\u005fact\": \"gelu\"}",
        "{\"\": 1, \".\": 2, \"rope_theta.x\": 3, \"x\": {}}",
        "{}",
    };
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
        nmrt_text out = {0};
        CHECK(nmrt_config_print(&map, base[i], strlen(base[i]), "float32", &out, &e) == NMRT_OK);
        CHECK(fits(out.at));
        if (!fits(out.at))
            fprintf(stderr, "%s\n%s%s\n", base[i], out.at, e.text);
        nmrt_text_release(&out);
    }
    CHECK(!fits("{\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"hidden_act\": \"gelu\"}"));
    CHECK(prints("{\"hidden_act\": {\"a\": 1}, \"\": {}, \"rms_norm_eps\": 1e-5,"
                 " \"max_position_embeddings\": 7, \"max_position_embeddings\": 8}",
                 "float32",
                 "{\n  \"hidden_act\": \"silu\",\n  \"\": {},\n  \"rms_norm_eps\": 1e-5,\n"
                 "  \"max_position_embeddings\": 7,\n  \"max_position_embeddings\": 8\n}\n"));
}

int main(void)
{
    check_refusals();
    check_print();
    check_print_again();
    return check_result();
}
