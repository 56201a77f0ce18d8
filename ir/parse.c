// The parser of IR text: recursive descent, one function a construct. Ops are built through
// nm_build, so what is parsed is typed.
//
// After a syntax error the rest of the function is skipped; an op whose types are wrong is
// reported, and what reads its results is passed over in silence.
#include "ir/form.h"
#include "ir/lex.h"
#include "ir/mode.h"
#include "ir/shape.h"

#include <string.h>

enum { MAX_LABEL = 1 << 20 }; // the largest number that a value may have

typedef struct definition { // a value by its text name
    nm_sym name;
    nm_value *value; // NULL: its op was wrong
    nm_func *func;
    int64_t label; // %12 is 12; -1: it has a name
    struct definition *next;
} definition;

typedef struct parser {
    nm_lexer lx;
    nm_module *m;
    bool failed;
    nm_arena scratch;  // of the function being read
    nm_hash_set names; // -> definition
    definition *first, **last;
    int64_t max_label;
} parser;

typedef struct list { // grows in scratch
    int n;
    void **item;
} list;

static void append(parser *p, list *l, void *item)
{
    if (!(l->n & (l->n - 1))) {
        void **more = nm_new_n(&p->scratch, void *, l->n ? 2 * l->n : 1);
        if (l->n)
            memcpy(more, l->item, (size_t)l->n * sizeof *more);
        l->item = more;
    }
    l->item[l->n++] = item;
}

// --- values --------------------------------------------------------------------------------------

static bool same_name(const void *item, const void *wanted)
{
    return ((const definition *)item)->name == wanted;
}

static uint64_t hash_name(nm_sym name) { return (uint64_t)(uintptr_t)name >> 4; }

static const definition *lookup(const parser *p, nm_sym name)
{
    return nm_hash_set_get(&p->names, hash_name(name), same_name, name);
}

// %h, %"odd name", %12. A number is a label, and spelt with its % in the table of names.
static bool value_name(parser *p, nm_sym *name, int64_t *label, nm_loc *loc)
{
    *label = -1;
    if (!nm_lex_expect(&p->lx, "%"))
        return false;
    *loc = p->lx.tok.loc;
    if (p->lx.tok.kind != NM_TOK_number)
        return nm_lex_name(&p->lx, name);
    if (!nm_lex_int(&p->lx, label))
        return false;
    *name = nm_sym_fmt(p->m, "%%%lld", (long long)*label);
    return *label < MAX_LABEL ||
           nm_error(p->m->diag, *loc, "values are numbered below %d [value-3]", MAX_LABEL);
}

static bool define(parser *p, nm_func *f, nm_sym name, int64_t label, nm_loc loc, definition **out)
{
    struct nm_hash_slot *slot =
        nm_hash_set_find(&p->scratch, &p->names, hash_name(name), same_name, name);
    if (slot->item)
        return nm_error(p->m->diag, loc, "'%s' is defined twice [value-2]", name);
    definition *d = nm_new(&p->scratch, definition);
    *d = (definition){.name = name, .func = f, .label = label};
    slot->item = d;
    *p->last = d;
    p->last = &d->next;
    p->max_label = label > p->max_label ? label : p->max_label;
    *out = d;
    return true;
}

static bool no_value(parser *p, nm_sym name, nm_loc loc)
{
    list names = {0};
    nm_error(p->m->diag, loc, "no value '%s' is computed before here [dom-1]", name);
    for (definition *d = p->first; d; d = d->next)
        append(p, &names, (void *)(uintptr_t)d->name);
    const char *near = nm_nearest(name, (const char *const *)names.item, (size_t)names.n);
    if (near)
        nm_help(p->m->diag, loc, "did you mean '%s'?", near);
    return false;
}

// *out is NULL where the value's own op was wrong.
static bool operand(parser *p, nm_func *f, nm_value **out)
{
    nm_sym name;
    int64_t label;
    nm_loc loc;
    if (!value_name(p, &name, &label, &loc))
        return false;
    const definition *d = lookup(p, name);
    if (!d || !d->func)
        return no_value(p, name, loc);
    if (d->func != f)
        return nm_error(p->m->diag, loc,
                        "'%s' is not of this body, which reads its own parameters "
                        "[body-2]",
                        name);
    *out = d->value;
    return true;
}

// --- attributes ----------------------------------------------------------------------------------

static bool names(parser *p, nm_syms *out)
{
    list l = {0};
    nm_sym name;
    bool bracket = nm_lex_accept(&p->lx, "[");
    if (!(bracket && nm_lex_accept(&p->lx, "]"))) {
        do {
            if (!nm_lex_name(&p->lx, &name))
                return false;
            append(p, &l, (void *)(uintptr_t)name);
        } while (bracket && nm_lex_accept(&p->lx, ","));
        if (bracket && !nm_lex_expect(&p->lx, "]"))
            return false;
    }
    nm_sym *sym = nm_new_n(p->m->arena, nm_sym, l.n);
    for (int i = 0; i < l.n; i++)
        sym[i] = l.item[i];
    *out = (nm_syms){l.n, sym};
    return true;
}

// The axes of a collective: [dp, cp] are four.
static bool axes(parser *p, nm_syms *list)
{
    nm_loc loc = p->lx.tok.loc;
    nm_axes all = {0};
    if (!names(p, list))
        return false;
    for (int i = 0; i < list->n; i++)
        if (!nm_axes_append(p->m, &all, list->sym[i]))
            return nm_error(p->m->diag, loc, "more than %d axes [type-6]", NM_MAX_AXES);
    nm_sym *sym = nm_new_n(p->m->arena, nm_sym, all.n);
    for (int i = 0; i < all.n; i++)
        sym[i] = all.axis[i];
    *list = (nm_syms){all.n, sym};
    return true;
}

static bool boolean(parser *p, bool *out)
{
    *out = nm_lex_is(&p->lx, "true");
    return nm_lex_accept(&p->lx, "true") || nm_lex_accept(&p->lx, "false") ||
           nm_lex_error(&p->lx, "true or false");
}

static bool string(parser *p, nm_sym *out)
{
    return p->lx.tok.kind == NM_TOK_string ? nm_lex_name(&p->lx, out)
                                           : nm_lex_error(&p->lx, "a string in quotes");
}

static bool attr_value(parser *p, nm_attr *a)
{
    switch (a->kind) {
    case NM_ATTR_int: return nm_lex_int(&p->lx, &a->u.i);
    case NM_ATTR_float: return nm_lex_float(&p->lx, &a->u.f);
    case NM_ATTR_bool: return boolean(p, &a->u.b);
    case NM_ATTR_sym: return nm_lex_name(&p->lx, &a->u.sym);
    case NM_ATTR_string: return string(p, &a->u.sym);
    case NM_ATTR_dims: return !strcmp(a->name, "axes") ? axes(p, &a->u.syms) : names(p, &a->u.syms);
    case NM_ATTR_dtype: return nm_lex_dtype(&p->lx, &a->u.dtype);
    case NM_ATTR_extent: return nm_lex_extent(&p->lx, &a->u.extent);
    }
    return false;
}

static const nm_attr_spec *find_spec(const nm_attr_schema *s, nm_sym name)
{
    for (int i = 0; i < s->n; i++)
        if (s->spec[i].name == name)
            return &s->spec[i];
    return NULL;
}

static bool attrs(parser *p, nm_opcode code, int *n, nm_attr *out)
{
    const nm_attr_schema *schema = &p->m->tables->schema[code];
    do {
        nm_loc loc = p->lx.tok.loc;
        nm_attr a = {0};
        if (!nm_lex_name(&p->lx, &a.name))
            return false;
        const nm_attr_spec *spec = find_spec(schema, a.name);
        if (!spec || *n == NM_MAX_OP_ATTRS)
            return nm_error(p->m->diag, loc, "%s has no attribute '%s' [attr-1]",
                            nm_op_table[code].name, a.name);
        a.kind = spec->kind;
        if (!nm_lex_expect(&p->lx, "=") || !attr_value(p, &a))
            return false;
        out[(*n)++] = a;
    } while (nm_lex_accept(&p->lx, ","));
    return nm_lex_expect(&p->lx, "}");
}

// --- ops -----------------------------------------------------------------------------------------

typedef struct line { // an op as it is written
    list results;     // definitions
    nm_opcode code;
    nm_loc loc;
    list in;
    int n_attrs;
    nm_attr attr[NM_MAX_OP_ATTRS];
    list types;
    nm_func *body;
    bool poisoned; // an operand is missing: build nothing
} line;

typedef struct result_binds { // of the header of a function
    bool given;
    int n;
    nm_bind *bind;
} result_binds;

static bool ops(parser *p, nm_func *f, const result_binds *binds);

static bool results(parser *p, nm_func *f, line *l)
{
    if (!nm_lex_is(&p->lx, "%"))
        return true;
    do {
        nm_sym name;
        int64_t label;
        nm_loc loc;
        definition *d;
        if (!value_name(p, &name, &label, &loc) || !define(p, f, name, label, loc, &d))
            return false;
        d->func = NULL; // not yet: an op does not read its own results
        append(p, &l->results, d);
    } while (nm_lex_accept(&p->lx, ","));
    return nm_lex_expect(&p->lx, "=");
}

static bool mnemonic(parser *p, line *l)
{
    const char *all[NM_N_OPS];
    l->loc = p->lx.tok.loc;
    int code = nm_opcode_find(p->lx.tok.text, l->loc.len);
    if (p->lx.tok.kind != NM_TOK_word)
        return nm_lex_error(&p->lx, "an op");
    if (code < 0) {
        nm_error(p->m->diag, l->loc, "no op is called '%s' [op-3]", p->lx.tok.sym);
        for (int i = 0; i < NM_N_OPS; i++)
            all[i] = nm_op_table[i].name;
        const char *near = nm_nearest(p->lx.tok.sym, all, NM_N_OPS);
        if (near)
            nm_help(p->m->diag, l->loc, "did you mean '%s'?", near);
        return false;
    }
    l->code = (nm_opcode)code;
    nm_lex_next(&p->lx);
    return true;
}

static bool operands(parser *p, nm_func *f, line *l)
{
    if (!nm_lex_is(&p->lx, "%"))
        return true;
    do {
        nm_value *v = NULL;
        if (l->in.n == NM_MAX_OPERANDS)
            return nm_error(p->m->diag, l->loc, "more than %d operands [op-1]", NM_MAX_OPERANDS);
        if (!operand(p, f, &v))
            return false;
        l->poisoned |= !v;
        append(p, &l->in, v);
    } while (nm_lex_accept(&p->lx, ","));
    return true;
}

static bool types(parser *p, line *l)
{
    if (!nm_lex_accept(&p->lx, ":"))
        return true;
    do {
        const nm_type *t;
        if (!nm_lex_type(&p->lx, &t))
            return false;
        append(p, &l->types, (void *)(uintptr_t)t);
    } while (nm_lex_accept(&p->lx, ","));
    return true;
}

static bool body_params(parser *p, nm_func *body)
{
    if (!nm_lex_expect(&p->lx, "("))
        return false;
    while (!nm_lex_accept(&p->lx, ")")) {
        nm_sym name;
        int64_t label;
        nm_loc loc;
        const nm_type *t;
        definition *d;
        if ((body->n_params && !nm_lex_expect(&p->lx, ",")) ||
            !value_name(p, &name, &label, &loc) || !nm_lex_expect(&p->lx, ":") ||
            !nm_lex_type(&p->lx, &t) || !define(p, body, name, label, loc, &d))
            return false;
        d->value = nm_func_param(body, t, label < 0 ? name : NULL, (nm_bind){0});
    }
    return true;
}

static bool body(parser *p, nm_func *f, line *l)
{
    if (!(nm_op_table[l->code].traits & NM_BODY))
        return true;
    nm_loc loc = p->lx.tok.loc;
    if (p->lx.depth >= NM_MAX_NEST)
        return nm_error(p->m->diag, loc, "bodies are nested too deep [body-4]");
    p->lx.depth++;
    l->body = nm_body_new(f, loc);
    bool ok = nm_lex_expect(&p->lx, "{") && body_params(p, l->body) &&
              nm_lex_at(&p->lx, &l->body->loc) && ops(p, l->body, &(result_binds){0});
    p->lx.depth--;
    l->poisoned |= ok && (!l->body->last || l->body->last->code != NM_OP_ret);
    return ok;
}

static void bind_results(parser *p, nm_func *f, const line *l, nm_op *op)
{
    for (int i = 0; i < l->results.n; i++) {
        definition *d = l->results.item[i];
        d->func = f;
        d->value = op ? &op->out[i] : NULL;
        if (op)
            op->out[i].name = d->label < 0 ? d->name : NULL;
    }
    p->failed |= !op;
}

static void build(parser *p, nm_func *f, line *l)
{
    nm_proto proto = {.code = l->code,
                      .loc = l->loc,
                      .n_in = l->in.n,
                      .in = (nm_value *const *)l->in.item,
                      .n_attrs = l->n_attrs,
                      .attr = l->attr,
                      .n_types = l->types.n,
                      .types = (const nm_type *const *)l->types.item,
                      .body = l->body};
    nm_op *op = l->poisoned ? NULL : nm_build_op(f, NULL, &proto);
    if (op && op->n_out != l->results.n) {
        nm_error(p->m->diag, l->loc, "%s has %d results here, and %d are named [op-2]",
                 nm_info(op)->name, op->n_out, l->results.n);
        nm_erase(op);
        op = NULL;
    }
    bind_results(p, f, l, op);
}

static bool build_ret(parser *p, nm_func *f, const line *l, const result_binds *binds)
{
    if (l->results.n || l->types.n || l->n_attrs)
        return nm_error(p->m->diag, l->loc, "ret has operands only [func-2]");
    if (binds->given && binds->n != l->in.n)
        return nm_error(p->m->diag, l->loc, "ret gives %d values, and %d are bound [func-3]",
                        l->in.n, binds->n);
    p->failed |= l->poisoned;
    if (!l->poisoned)
        nm_func_ret(f, l->loc, l->in.n, (nm_value *const *)l->in.item,
                    binds->given ? binds->bind : NULL);
    return true;
}

static bool op(parser *p, nm_func *f, const result_binds *binds, bool *is_ret)
{
    line l = {0};
    if (!results(p, f, &l) || !mnemonic(p, &l) || !operands(p, f, &l))
        return false;
    if (p->m->tables->schema[l.code].n && nm_lex_accept(&p->lx, "{") &&
        !attrs(p, l.code, &l.n_attrs, l.attr))
        return false;
    if (!types(p, &l) || !nm_lex_at(&p->lx, &l.loc) || !body(p, f, &l))
        return false;
    *is_ret = l.code == NM_OP_ret;
    if (*is_ret)
        return build_ret(p, f, &l, binds);
    build(p, f, &l);
    return true;
}

// To the closing brace.
static bool ops(parser *p, nm_func *f, const result_binds *binds)
{
    bool ended = false;
    while (!nm_lex_accept(&p->lx, "}")) {
        if (ended)
            return nm_error(p->m->diag, p->lx.tok.loc, "ret stands last [func-2]");
        if (!op(p, f, binds, &ended))
            return false;
    }
    return ended || nm_error(p->m->diag, f->loc, "a function ends in ret [func-2]");
}

// --- functions -----------------------------------------------------------------------------------

static bool bind_kind(parser *p, nm_bind *b)
{
    int kind = p->lx.tok.kind == NM_TOK_word ? nm_text_bind(p->lx.tok.sym) : -1;
    if (kind < 0)
        return nm_lex_error(&p->lx,
                            "data, param, state, acc, count, scalar, cache, emit, out, link or "
                            "none");
    b->kind = (nm_bind_kind)kind;
    nm_lex_next(&p->lx);
    return true;
}

static bool index_of(parser *p, nm_bind *b)
{
    return !nm_lex_accept(&p->lx, "of") || nm_lex_name(&p->lx, &b->index_of);
}

// (grad.w), (x.in, x.out), ()
static bool bind_names(parser *p, nm_bind *b)
{
    if (!nm_lex_is(&p->lx, ")") && !nm_lex_name(&p->lx, &b->name))
        return false;
    if (b->kind == NM_BIND_link && nm_lex_accept(&p->lx, ",") && !nm_lex_name(&p->lx, &b->next))
        return false;
    return nm_lex_expect(&p->lx, ")");
}

// acc(grad.w) %g: f32[d], acc %grad.w: f32[d], %x: f32[d], data %t: i32[batch] of vocab
static bool param(parser *p, nm_func *f)
{
    nm_bind b = {0};
    bool is_bound = !nm_lex_is(&p->lx, "%"), is_named = false;
    nm_sym name;
    int64_t label;
    nm_loc loc;
    const nm_type *t;
    definition *d;
    if (is_bound && !bind_kind(p, &b))
        return false;
    if (is_bound && nm_lex_accept(&p->lx, "(")) {
        is_named = true;
        if (!bind_names(p, &b))
            return false;
    }
    if (!value_name(p, &name, &label, &loc) || !nm_lex_expect(&p->lx, ":") ||
        !nm_lex_type(&p->lx, &t) || !index_of(p, &b) || !define(p, f, name, label, loc, &d))
        return false;
    if (is_bound && !is_named && label < 0)
        b.name = name;
    d->value = nm_func_param(f, t, label < 0 ? name : NULL, b);
    return true;
}

static bool bound_results(parser *p, result_binds *out)
{
    list l = {0};
    if (!nm_lex_accept(&p->lx, "->"))
        return true;
    if (!nm_lex_expect(&p->lx, "("))
        return false;
    while (!nm_lex_accept(&p->lx, ")")) {
        nm_bind *b = nm_new(&p->scratch, nm_bind);
        if ((l.n && !nm_lex_expect(&p->lx, ",")) || !bind_kind(p, b))
            return false;
        bool has_name =
            !nm_lex_is(&p->lx, ",") && !nm_lex_is(&p->lx, ")") && !nm_lex_is(&p->lx, "of");
        if ((has_name && !nm_lex_name(&p->lx, &b->name)) || !index_of(p, b))
            return false;
        append(p, &l, b);
    }
    *out = (result_binds){.given = true, .n = l.n, .bind = nm_new_n(&p->scratch, nm_bind, l.n)};
    for (int i = 0; i < l.n; i++)
        out->bind[i] = *(nm_bind *)l.item[i];
    return true;
}

// Values have the numbers of the text; those with names get the numbers that are left.
static void number_values(parser *p, nm_func *f)
{
    bool *used = nm_new_n(&p->scratch, bool, p->max_label + 1);
    int64_t next = 0, n = p->max_label + 1;
    for (definition *d = p->first; d; d = d->next)
        if (d->label >= 0)
            used[d->label] = true;
    for (definition *d = p->first; d; d = d->next) {
        while (d->label < 0 && next <= p->max_label && used[next])
            next++;
        int64_t id = d->label >= 0 ? d->label : next++;
        if (d->value)
            d->value->id = (uint32_t)id;
        n = id + 1 > n ? id + 1 : n;
    }
    f->n_values = (uint32_t)n;
}

// = WORD, one of those that `find` knows, as its number; `words` names them.
static bool number_of_word(parser *p, int (*find)(const char *word), const char *words, int *out)
{
    if (!nm_lex_expect(&p->lx, "="))
        return false;
    *out = p->lx.tok.kind == NM_TOK_word ? find(p->lx.tok.sym) : -1;
    if (*out < 0)
        return nm_lex_error(&p->lx, words);
    nm_lex_next(&p->lx);
    return true;
}

static int number_of_mode(const char *word)
{
    const nm_mode *mode = nm_mode_find(word);
    return mode ? (int)(mode - nm_mode_table) : -1;
}

static bool units(parser *p, uint64_t *out)
{
    if (!nm_lex_expect(&p->lx, "["))
        return false;
    do {
        nm_loc loc = p->lx.tok.loc;
        int64_t unit;
        if (!nm_lex_int(&p->lx, &unit))
            return false;
        if (unit < 0 || unit > 63)
            return nm_error(p->m->diag, loc, "units are numbered from 0 to 63 [func-6]");
        *out |= 1ull << unit;
    } while (nm_lex_accept(&p->lx, ","));
    return nm_lex_expect(&p->lx, "]");
}

// {phase = backward, units = [1], mode = mesh, sums = once}
static bool part(parser *p, nm_part *out)
{
    static const char phases[] = "forward, turn, backward, before, middle or after",
                      all_sums[] = "each, once or last", recomputes[] = "none, selective or full",
                      of[] = "fp8 or bf16",
                      modes[] = "one, mesh, mesh_notp, mesh_nosp or mesh_ring";
    nm_lexer *lx = &p->lx;
    if (!nm_lex_accept(lx, "{"))
        return true;
    int phase = NM_PHASE_none, sums = NM_SUMS_each, again = NM_RECOMPUTE_any,
        products = NM_PRODUCTS_any, mode = -1;
    do {
        bool ok = nm_lex_accept(lx, "phase")   ? number_of_word(p, nm_text_phase, phases, &phase)
                  : nm_lex_accept(lx, "units") ? nm_lex_expect(lx, "=") && units(p, &out->units)
                  : nm_lex_accept(lx, "sums")  ? number_of_word(p, nm_text_sums, all_sums, &sums)
                  : nm_lex_accept(lx, "recompute")
                      ? number_of_word(p, nm_text_recompute, recomputes, &again)
                  : nm_lex_accept(lx, "products")
                      ? number_of_word(p, nm_text_products, of, &products)
                  : nm_lex_accept(lx, "mode") ? number_of_word(p, number_of_mode, modes, &mode)
                  : nm_lex_accept(lx, "kept")
                      ? (out->kept = nm_lex_expect(lx, "=") && nm_lex_expect(lx, "true"))
                      : nm_lex_error(lx, "phase, units, mode, sums, recompute, products or kept");
        if (!ok)
            return false;
    } while (nm_lex_accept(lx, ","));
    out->mode = mode < 0 ? NULL : nm_sym_get(p->m, nm_mode_table[mode].name);
    out->phase = (nm_phase)phase;
    out->sums = (nm_sums)sums;
    out->recompute = (nm_recompute)again;
    out->products = (nm_products)products;
    return nm_lex_expect(lx, "}");
}

static bool function(parser *p)
{
    nm_loc loc = p->lx.tok.loc;
    nm_sym name;
    nm_part of = {0};
    result_binds binds = {0};
    nm_arena_free(&p->scratch);
    p->names = (nm_hash_set){0};
    p->first = NULL;
    p->last = &p->first;
    p->max_label = -1;
    if (!nm_lex_expect(&p->lx, "@") || !nm_lex_name(&p->lx, &name) || !part(p, &of) ||
        !nm_lex_expect(&p->lx, "("))
        return false;
    nm_func *f = nm_func_new(p->m, name, loc);
    f->part = of;
    while (!nm_lex_accept(&p->lx, ")"))
        if ((f->n_params && !nm_lex_expect(&p->lx, ",")) || !param(p, f))
            return false;
    if (!bound_results(p, &binds) || !nm_lex_at(&p->lx, &f->loc) || !nm_lex_expect(&p->lx, "{") ||
        !ops(p, f, &binds))
        return false;
    number_values(p, f);
    return true;
}

// --- tables --------------------------------------------------------------------------------------

static bool dim_bounds(parser *p, nm_dim_decl *d)
{
    if (!nm_lex_accept(&p->lx, "("))
        return true;
    do {
        int64_t *field = nm_lex_is(&p->lx, "pad")        ? &d->pad
                         : nm_lex_is(&p->lx, "min")      ? &d->min
                         : nm_lex_is(&p->lx, "max")      ? &d->max
                         : nm_lex_is(&p->lx, "multiple") ? &d->multiple
                         : nm_lex_is(&p->lx, "first")    ? &d->first
                         : nm_lex_is(&p->lx, "each")     ? &d->each
                                                         : NULL;
        if (!field)
            return nm_lex_error(&p->lx, "pad, min, max, multiple, first or each");
        nm_lex_next(&p->lx);
        if (!nm_lex_expect(&p->lx, "=") || !nm_lex_int(&p->lx, field))
            return false;
    } while (nm_lex_accept(&p->lx, ","));
    return nm_lex_expect(&p->lx, ")");
}

// Behind `?`: of ff/tp, axis, or nothing.
static bool runtime(parser *p, nm_dim_decl *d)
{
    d->extent = nm_extent_sym(p->m, d->name);
    if (nm_lex_accept(&p->lx, "axis"))
        d->axes = (nm_axes){.n = 1, .axis = {d->name}};
    else if (nm_lex_accept(&p->lx, "of"))
        return nm_lex_name(&p->lx, &d->of) && nm_lex_expect(&p->lx, "/") &&
               nm_lex_axes(&p->lx, &d->axes);
    return true;
}

// Behind an extent: turns of layers, or nothing.
static bool turns_of(parser *p, nm_dim_decl *d)
{
    return !nm_lex_accept(&p->lx, "turns") ||
           (nm_lex_expect(&p->lx, "of") && nm_lex_name(&p->lx, &d->turns_of));
}

static bool dims(parser *p)
{
    do {
        nm_dim_decl d = {.loc = p->lx.tok.loc};
        if (!nm_lex_name(&p->lx, &d.name) || !dim_bounds(p, &d) || !nm_lex_expect(&p->lx, "="))
            return false;
        d.runtime = nm_lex_accept(&p->lx, "?");
        if (d.runtime ? !runtime(p, &d) : !nm_lex_extent(&p->lx, &d.extent) || !turns_of(p, &d))
            return false;
        if (nm_dim_lookup(p->m, d.name))
            return nm_error(p->m->diag, d.loc, "dim '%s' is declared twice [dim-3]", d.name);
        if (!nm_lex_at(&p->lx, &d.loc))
            return false;
        nm_dim_declare(p->m, d);
    } while (nm_lex_accept(&p->lx, ","));
    return true;
}

static bool mesh_row(parser *p)
{
    list l = {0};
    nm_sym name;
    nm_mesh_row row = {.loc = p->lx.tok.loc};
    if (!nm_lex_name(&p->lx, &row.axis) || !nm_lex_expect(&p->lx, ":"))
        return false;
    while (!nm_lex_is(&p->lx, ",") && !nm_lex_is(&p->lx, "}") && !nm_lex_is(&p->lx, "at")) {
        if (!nm_lex_name(&p->lx, &name))
            return false;
        append(p, &l, (void *)(uintptr_t)name);
    }
    nm_sym *sym = nm_new_n(p->m->arena, nm_sym, l.n);
    for (int i = 0; i < l.n; i++)
        sym[i] = l.item[i];
    row.dims = (nm_syms){l.n, sym};
    if (!nm_lex_at(&p->lx, &row.loc))
        return false;
    nm_mesh_add(p->m, row);
    return true;
}

static bool param_row(parser *p)
{
    nm_param r = {.loc = p->lx.tok.loc};
    int64_t n_batch = 0, n_ins = 0;
    if (!nm_lex_name(&p->lx, &r.path) || !nm_lex_expect(&p->lx, ":") ||
        !nm_lex_type(&p->lx, &r.type))
        return false;
    r.is_arrow = nm_lex_accept(&p->lx, "arrow");
    if (r.is_arrow &&
        (!nm_lex_expect(&p->lx, "(") || !nm_lex_int(&p->lx, &n_batch) ||
         !nm_lex_expect(&p->lx, ",") || !nm_lex_int(&p->lx, &n_ins) || !nm_lex_expect(&p->lx, ")")))
        return false;
    if (n_batch < 0 || n_ins < 0 || n_batch > NM_MAX_RANK || n_ins > NM_MAX_RANK)
        return nm_error(p->m->diag, r.loc, "arrow(batch dims, dims of the domain) [param-2]");
    r.n_batch = (int)n_batch;
    r.n_ins = (int)n_ins;
    r.frozen = nm_lex_accept(&p->lx, "frozen");
    r.no_decay = nm_lex_accept(&p->lx, "no_decay");
    r.state = nm_lex_accept(&p->lx, "state");
    r.own = nm_lex_accept(&p->lx, "own");
    if (nm_lex_accept(&p->lx, "by") && !nm_lex_name(&p->lx, &r.optimizer))
        return false;
    if (!nm_lex_at(&p->lx, &r.loc))
        return false;
    nm_param_add(p->m, r);
    return true;
}

static bool hyper_row(parser *p)
{
    nm_hyper h = {.loc = p->lx.tok.loc};
    if (!nm_lex_name(&p->lx, &h.name) || !nm_lex_expect(&p->lx, "=") ||
        !nm_lex_float(&p->lx, &h.value))
        return false;
    if (nm_lex_accept(&p->lx, "per_step") && !nm_lex_float(&p->lx, &h.per_step))
        return false;
    if (nm_lex_accept(&p->lx, "schedule") && !nm_lex_name(&p->lx, &h.schedule))
        return false;
    if (!nm_lex_at(&p->lx, &h.loc))
        return false;
    nm_hyper_add(p->m, h);
    return true;
}

// { row, row }
static bool rows(parser *p, bool (*row)(parser *p))
{
    if (!nm_lex_expect(&p->lx, "{"))
        return false;
    if (nm_lex_accept(&p->lx, "}"))
        return true;
    do {
        if (!row(p))
            return false;
    } while (nm_lex_accept(&p->lx, ","));
    return nm_lex_expect(&p->lx, "}");
}

static bool module_line(parser *p)
{
    return nm_lex_name(&p->lx, &p->m->name) &&
           (!nm_lex_accept(&p->lx, "preset") || nm_lex_name(&p->lx, &p->m->preset));
}

static bool item(parser *p)
{
    nm_lexer *lx = &p->lx;
    return nm_lex_accept(lx, "func")     ? function(p)
           : nm_lex_accept(lx, "dims")   ? dims(p)
           : nm_lex_accept(lx, "mesh")   ? rows(p, mesh_row)
           : nm_lex_accept(lx, "params") ? rows(p, param_row)
           : nm_lex_accept(lx, "hypers") ? rows(p, hyper_row)
           : nm_lex_accept(lx, "module")
               ? module_line(p)
               : nm_lex_error(lx, "module, dims, mesh, params, hypers or func");
}

bool nm_parse(nm_module *m, const nm_source *src)
{
    parser p = {.m = m};
    unsigned errors = m->diag->errors;
    p.last = &p.first;
    nm_lex_init(&p.lx, m, src);
    while (p.lx.tok.kind != NM_TOK_end)
        if (!item(&p) && !nm_lex_resync(&p.lx))
            break;
    nm_arena_free(&p.scratch);
    return m->diag->errors == errors && !p.failed;
}
