// Which turns of a stage are in bf16: counted over the model, by layers where turns are several.
#include "runtime/islands.h"
#include "tests/runtime/check.h"

// Two layers a turn and one left over, and a repeat with one text.
static const nmdrv_func func[] = {
    {.units = 1 << 1, .turns = 0, .recompute = -1, .products = NMDRV_PRODUCTS_FP8},
    {.units = 1 << 1, .turns = 0, .recompute = -1, .products = NMDRV_PRODUCTS_BF16},
    {.units = 1 << 3, .turns = 1, .recompute = -1, .products = NMDRV_PRODUCTS_FP8},
    {.units = 1 << 3, .turns = 1, .recompute = -1, .products = NMDRV_PRODUCTS_BF16},
    {.units = 1 << 5, .turns = 2, .recompute = -1, .products = -1},
};
static const nmdrv_program program = {.n_units = 7, .n_funcs = 5, .func = func};
static const nmrt_stages stages = {.n_units = 7,
                                   .turns = {1, 4, 1, 1, 1, 5, 1},
                                   .name = {"", "layers.o", "", "layers", "", "other", ""},
                                   .row = {0, 0, 0, 8, 0, 0, 0},
                                   .each = {0, 2, 0, 1, 0, 1, 0}};

// The chunks of these turns, a letter a turn: b in bf16, f in fp8.
static bool is(nmrt_islands islands, nmrt_stage_part part, int n_chunks, const char *want)
{
    nmrt_chunk whole = {.part = part, .variant = NMDRV_RECOMPUTE_FULL}, chunk[3];
    int n = nmrt_islands_chunks(&islands, &program, &stages, &whole, chunk);
    int64_t at = part.first;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < chunk[i].part.n; k++, at++) {
            char letter = chunk[i].products == NMDRV_PRODUCTS_BF16 ? 'b' : 'f';
            if (chunk[i].part.first + k != at || chunk[i].part.unit != part.unit ||
                chunk[i].variant != NMDRV_RECOMPUTE_FULL || letter != want[at - part.first])
                return false;
        }
    return n == n_chunks && at == part.first + part.n;
}

int main(void)
{
    const nmrt_stage_part turns = {1, 0, 4}, rest = {3, 0, 1}, second = {1, 2, 2};
    CHECK(is((nmrt_islands){0, 0}, turns, 1, "ffff"));
    CHECK(is((nmrt_islands){1, 1}, turns, 2, "bfff"));
    CHECK(is((nmrt_islands){1, 1}, rest, 1, "b"));
    CHECK(is((nmrt_islands){3, 2}, turns, 3, "bbfb"));
    CHECK(is((nmrt_islands){3, 2}, second, 2, "fb"));
    CHECK(is((nmrt_islands){4, 5}, turns, 1, "bbbb"));
    CHECK(is((nmrt_islands){8, 0}, rest, 1, "f"));
    CHECK(is((nmrt_islands){9, 0}, rest, 1, "b"));
    CHECK(is((nmrt_islands){1ll << 52, 1ll << 52}, second, 1, "bb"));
    CHECK(is((nmrt_islands){1, 1}, (nmrt_stage_part){5, 0, 5}, 1, "fffff"));
    CHECK(is((nmrt_islands){1, 1}, (nmrt_stage_part){0, 0, 1}, 1, "f"));
    return check_result();
}
