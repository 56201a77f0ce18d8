// The column `.singular` of ops.def, held to the interpreter: of finite operands every op gives
// finite results, unless an operand that its row calls singular has an odd value; and each operand
// that it does has one that does harm. The masks of padded dims (passes/localize_pad.c) rely on it.
#include "ir/example.h"
#include "tests/inputs.h"

#include <stdlib.h>

enum { ORDINARY, N_VALUES = 6, MAX_VARIED = 4 };
static const double odd[N_VALUES] = {[1] = 0, [2] = 1, [3] = -1, [4] = 300, [5] = -300};

static int bad;

static bool is_float(const nm_value *v) { return nm_dtype_table[v->type->dtype].is_float; }

// Is the result finite for operand i of the value number choice[i]?
static bool is_finite(nm_func *f, const int *choice)
{
    nm_arena arena = {0};
    nm_eval_opts opts = {.arena = &arena};
    nm_tensor *args = input_args(f, &opts);
    for (int i = 0; i < f->n_params && i < MAX_VARIED; i++)
        for (int64_t k = 0; choice[i] != ORDINARY && k < args[i].n; k++)
            args[i].data[k] = odd[choice[i]];
    const nm_tensor *result = run_func(f, &opts, args);
    bool finite = result;
    for (int r = 0; finite && r < f->n_results; r++)
        for (int64_t k = 0; k < result[r].n; k++)
            finite = finite && isfinite(result[r].data[k]);
    nm_arena_free(&arena);
    return finite;
}

// The next choice of values for the operands that are floats, but for those in `fixed`.
static bool next_choice(const nm_func *f, unsigned fixed, int *choice)
{
    for (int i = 0; i < f->n_params && i < MAX_VARIED; i++) {
        if (fixed >> i & 1 || !is_float(f->param[i]))
            continue;
        choice[i] = (choice[i] + 1) % N_VALUES;
        if (choice[i])
            return true;
    }
    return false;
}

static bool is_always_finite(nm_func *f, unsigned fixed)
{
    int choice[MAX_VARIED] = {0};
    bool finite = true;
    do
        finite = is_finite(f, choice);
    while (finite && next_choice(f, fixed, choice));
    return finite;
}

static void complain(nm_opcode code, const char *what, int operand)
{
    fprintf(stderr, "ops.def: %s %s: .singular %s (operand %d)\n", nm_op_table[code].name,
            nm_op_table[code].example, what, operand);
    bad++;
}

static void check_row(nm_opcode code)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_example_dims(m);
    nm_func *f = nm_op_example(m, code);
    unsigned singular = nm_op_table[code].singular;
    if (f && !is_always_finite(f, singular))
        complain(code, "lacks one", -1);
    for (int i = 0; f && i < f->n_params; i++)
        if (singular >> i & 1 && is_float(f->param[i]) && is_always_finite(f, ~(1u << i)))
            complain(code, "has one too many", i);
    nm_arena_free(&arena);
}

// Operands of attention_grad belong together: its lse is that of its q and k.
static bool is_free_of_others(nm_opcode code)
{
    const nm_op_info *info = &nm_op_table[code];
    return code != NM_OP_attention_grad && info->example && info->eval;
}

int main(void)
{
    for (int i = 0; i < NM_N_OPS; i++)
        if (is_free_of_others((nm_opcode)i))
            check_row((nm_opcode)i);
    return bad != 0;
}
