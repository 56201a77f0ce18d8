// fast_casts: with --fast-casts, what a kernel rounds to store it in 16 bits it reads itself before
// it was rounded. That saves two conversions an element; but then what is computed depends on what
// was fused, so without the flag nothing of it is done. Roundings to 8 bits stay: they are what
// --precision fp8 is.
//
// Here, behind fuse: in other kernels the number is there as it is stored.
#include "passes/pass.h"
#include "passes/rewrite.h"

static bool comes_back(const nm_match *m)
{
    const nm_value *narrow = m->root->in[0], *x = nm_var(m, 'x');
    const nm_dtype_info *t = &nm_dtype_table[narrow->type->dtype];
    return x->type == m->root->out[0].type && t->is_float && t->bytes == 2;
}

// clang-format off
static const nm_rule rules[] = {
    RULE("cast(cast(?x)) => ?x", .when = comes_back, .fast = true),
};
// clang-format on

bool nm_pass_fast_casts(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        nm_rewrite(f, rules, sizeof rules / sizeof *rules, changed);
    return true;
}
