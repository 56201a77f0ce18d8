// The built-ins: one row each, with their parameters as a definition would write them. `?` marks
// what may be left out; two rows of one name differ in the number of arguments.
#include "frontend/elab_builtin.h"

#include <stdlib.h>
#include <string.h>

// --- the table -----------------------------------------------------------------------------------

// clang-format off
static const nm_builtin table[] = {
    {"neg",     "x", nm_builtin_map, NM_OP_neg},
    {"abs",     "x", nm_builtin_map, NM_OP_abs},
    {"sign",    "x", nm_builtin_map, NM_OP_sign},
    {"exp",     "x", nm_builtin_map, NM_OP_exp},
    {"log",     "x", nm_builtin_map, NM_OP_log},
    {"sqrt",    "x", nm_builtin_map, NM_OP_sqrt},
    {"sin",     "x", nm_builtin_map, NM_OP_sin},
    {"cos",     "x", nm_builtin_map, NM_OP_cos},
    {"tanh",    "x", nm_builtin_map, NM_OP_tanh},
    {"erf",     "x", nm_builtin_map, NM_OP_erf},
    {"gelu_tanh", "x", nm_builtin_map, NM_OP_gelu_tanh},
    {"floor",   "x", nm_builtin_map, NM_OP_floor},
    {"stop",    "x", nm_builtin_map, NM_OP_stop},
    {"maximum", "a, b", nm_builtin_extreme, NM_OP_maximum},
    {"minimum", "a, b", nm_builtin_extreme, NM_OP_minimum},
    {"where",   "c, a, b", nm_builtin_where, 0},
    {"cast",    "x, y", nm_builtin_cast, 0},
    {"sum",     "x, over: dims", nm_builtin_reduce, NM_OP_sum},
    {"max",     "x, over: dims", nm_builtin_reduce, NM_OP_max},
    {"cumsum",  "x, over: dim", nm_builtin_cumsum, 0},
    {"top_k",   "x, over -> choice", nm_builtin_top_k, 0},
    {"dot",     "a, b, over: dims", nm_builtin_dot, 0},
    {"concat",  "parts, over: dim", nm_builtin_concat, 0},
    {"pad",     "x, over: dim, before, after, mode?: word", nm_builtin_pad, 0},
    {"index",   "over: dim", nm_builtin_index, 0},
    {"index",   "x, over: dim", nm_builtin_index_in, 0},
    {"size",    "over: dims", nm_builtin_size, 0},
    {"size",    "x, over: dim", nm_builtin_size_in, 0},
    {"windows", "x, from -> to, stride?: int, dilate?: int, pad?", nm_builtin_windows, 0},
    {"overlap_add", "x, from -> to, stride?: int, dilate?: int, pad?", nm_builtin_overlap_add, 0},
    {"shape",   "x", nm_builtin_shape, 0},
    {"rest",    "x, over: dims", nm_builtin_rest, 0},
    {"ins",     "w", nm_builtin_side, 0},
    {"outs",    "w", nm_builtin_side, 1},
    {"decays",  "p", nm_builtin_decays, 0},
    {"len",     "x", nm_builtin_len, 0},
    {"zip",     "a, b, c?, d?", nm_builtin_zip, 0},
    {"normal",  "mean, deviation", nm_builtin_dist, NM_DIST_normal},
    {"uniform", "low, high", nm_builtin_dist, NM_DIST_uniform},
    {"bernoulli", "p", nm_builtin_dist, NM_DIST_bernoulli},
    {"attention", "q, k, v, over: dim, hd: dim, causal?: bool, window?: int, softcap?, sink?, bias?, mask?, segments?, "
                  "keys?, scale?, dropout?", nm_builtin_attention, 0},
    {"dispatch", "x, e, to: dims, capacity?: int", nm_builtin_dispatch, 0},
    {"combine",  "y, e, w, from: dims, choice: dim", nm_builtin_combine, 0},
};
// clang-format on
enum { N_BUILTINS = sizeof table / sizeof table[0] };

const nm_builtin *nm_builtin_find(nm_sym name)
{
    for (int i = 0; i < N_BUILTINS; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

int nm_builtin_names(const char **name, int max)
{
    int n = 0;
    for (int i = 0; i < N_BUILTINS && n < max; i++)
        name[n++] = table[i].name;
    return n;
}

// --- calling one ---------------------------------------------------------------------------------

static const char *skip_spaces(const char *s) { return s + strspn(s, " ,"); }

static nm_sym take_word(nm_elab *e, const char **s)
{
    size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz_");
    nm_sym w = nm_sym_fmt(e->m, "%.*s", (int)n, *s);
    *s += n;
    return w;
}

static nm_ast_pars parse_pars(nm_elab *e, const char *s)
{
    static nm_ast_expr absent = {.kind = NM_EXPR_tuple};
    nm_ast_pars pars = {.par = nm_new_n(e->a, nm_ast_par, NM_BUILTIN_MAX)};
    for (s = skip_spaces(s); *s; s = skip_spaces(s)) {
        nm_ast_par *p = &pars.par[pars.n++];
        *p = (nm_ast_par){.kind = NM_PAR_plain, .name.sym = take_word(e, &s)};
        if (*s == '?') {
            p->otherwise = &absent;
            s++;
        }
        if (!strncmp(s, " -> ", 4)) {
            s += 4;
            p->kind = NM_PAR_arrow;
            p->to.sym = take_word(e, &s);
        } else if (*s == ':') {
            s += 2;
            p->kind = NM_PAR_kind;
            p->of.sym = take_word(e, &s);
        }
    }
    return pars;
}

static const nm_builtin *by_count(const nm_builtin *b, int n)
{
    bool more = n > 1 && b + 1 < table + N_BUILTINS && !strcmp(b[1].name, b->name);
    return more ? b + 1 : b;
}

nm_ev nm_call_builtin(nm_elab *e, nm_frame *f, const nm_builtin *b, const nm_args *args)
{
    b = by_count(b, args->n);
    nm_ast_pars pars = parse_pars(e, b->pars);
    nm_binding bind = {.name = nm_sym_get(e->m, b->name), .pars = &pars};
    nm_bcall c = {.f = f, .b = b, .loc = args->loc, .whole = args->loc};
    if (!nm_args_bind(e, f, args, &bind))
        return nm_ev_poison();
    for (int i = 0; i < pars.n; i++) {
        c.given[i] = bind.given[i] && bind.value[i].kind != NM_EV_none;
        c.v[i] = bind.value[i];
        if (bind.given[i] && bind.value[i].kind == NM_EV_poison)
            return nm_ev_poison();
        if (!bind.given[i] && !pars.par[i].otherwise)
            return nm_call_missing(e, f, &pars.par[i], bind.name, args) ? nm_ev_none()
                                                                        : nm_ev_poison();
    }
    return b->run(e, &c);
}
