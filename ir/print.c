// A module as text (docs/ir.md). Law: print(parse(t)) == t for printed t.
//
// A value without a name prints as its number. A name that two values of a function share is told
// apart by .1, .2, ...: the text needs no scopes, and the names it then has stay as they are.
#include "ir/form.h"
#include "ir/tables.h"

#include "base/hash.h"

#include <inttypes.h>
#include <string.h>

typedef struct printer {
    FILE *out;
    nm_module *m;
    nm_print_opts opts;
    nm_arena scratch;
    nm_sym *name;      // [values of the outermost function], by id; NULL: its number
    nm_hash_set taken; // names given out in this function
    int depth;
} printer;

static const char *const bind_name[] = {
    [NM_BIND_none] = "none",     [NM_BIND_data] = "data",   [NM_BIND_param] = "param",
    [NM_BIND_state] = "state",   [NM_BIND_acc] = "acc",     [NM_BIND_count] = "count",
    [NM_BIND_scalar] = "scalar", [NM_BIND_cache] = "cache", [NM_BIND_emit] = "emit",
    [NM_BIND_out] = "out",       [NM_BIND_link] = "link",   [NM_BIND_kept] = "kept",
};

static const char *const phase_name[] = {
    [NM_PHASE_none] = "none",         [NM_PHASE_forward] = "forward", [NM_PHASE_turn] = "turn",
    [NM_PHASE_backward] = "backward", [NM_PHASE_before] = "before",   [NM_PHASE_middle] = "middle",
    [NM_PHASE_after] = "after",
};

static const char *const sums_name[] = {
    [NM_SUMS_each] = "each", [NM_SUMS_once] = "once", [NM_SUMS_last] = "last"};

static const char *const products_name[] = {
    [NM_PRODUCTS_any] = "any", [NM_PRODUCTS_fp8] = "fp8", [NM_PRODUCTS_bf16] = "bf16"};

static int find_word(const char *const *all, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i], word))
            return i;
    return -1;
}

int nm_text_bind(const char *word) { return find_word(bind_name, NM_BIND_kept + 1, word); }
int nm_text_phase(const char *word) { return find_word(phase_name, NM_PHASE_after + 1, word); }
int nm_text_sums(const char *word) { return find_word(sums_name, NM_SUMS_last + 1, word); }

int nm_text_recompute(const char *word)
{
    return find_word(nm_recompute_name, NM_N_RECOMPUTES, word);
}

int nm_text_products(const char *word)
{
    return find_word(products_name, NM_PRODUCTS_bf16 + 1, word);
}

// --- names ---------------------------------------------------------------------------------------

typedef struct taken_name {
    nm_sym name;
    bool used;
    int suffix; // the last that was tried
} taken_name;

static bool same_name(const void *item, const void *wanted)
{
    return ((const taken_name *)item)->name == wanted;
}

static taken_name *find_taken(printer *p, nm_sym name)
{
    struct nm_hash_slot *s =
        nm_hash_set_find(&p->scratch, &p->taken, (uint64_t)(uintptr_t)name >> 4, same_name, name);
    if (!s->item) {
        taken_name *t = nm_new(&p->scratch, taken_name);
        t->name = name;
        s->item = t;
    }
    return (taken_name *)s->item;
}

static void name_value(printer *p, const nm_value *v)
{
    if (!v->name)
        return;
    taken_name *asked = find_taken(p, v->name), *got = asked;
    while (got->used)
        got = find_taken(p, nm_sym_fmt(p->m, "%s.%d", v->name, ++asked->suffix));
    got->used = true;
    p->name[v->id] = got->name;
}

static void name_values(printer *p, nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        name_value(p, f->param[i]);
    nm_each_op(op, f) {
        if (op->body)
            name_values(p, op->body);
        for (int i = 0; i < op->n_out; i++)
            name_value(p, &op->out[i]);
    }
}

static void print_value(printer *p, const nm_value *v)
{
    fputc('%', p->out);
    if (p->name[v->id])
        nm_text_name(p->out, p->name[v->id]);
    else
        fprintf(p->out, "%u", v->id);
}

static void print_loc(printer *p, nm_loc loc)
{
    if (!p->opts.locs || !loc.src)
        return;
    nm_line_col lc = nm_loc_line_col(loc);
    fputs(" at ", p->out);
    nm_text_name(p->out, loc.src->name);
    fprintf(p->out, ":%u:%u", lc.line, lc.col);
}

// --- ops -----------------------------------------------------------------------------------------

static void print_names(FILE *out, nm_syms list, const char *between)
{
    for (int i = 0; i < list.n; i++) {
        fputs(i ? between : "", out);
        nm_text_name(out, list.sym[i]);
    }
}

// Where a list of axes is an attribute's: [dp, tp].
static void print_axes(FILE *out, nm_syms list)
{
    for (int i = 0; i < list.n;) {
        const char *word;
        fputs(i ? ", " : "", out);
        i += nm_axes_word(list.n - i, &list.sym[i], &word);
        nm_text_name(out, word);
    }
}

static void print_quoted(FILE *out, nm_sym s)
{
    bool is_word = nm_text_is_word(s, strlen(s));
    fputs(is_word ? "\"" : "", out);
    nm_text_name(out, s);
    fputs(is_word ? "\"" : "", out);
}

// A name where `keyword` may stand, too.
static void print_name_but(FILE *out, nm_sym name, const char *keyword)
{
    if (strcmp(name, keyword))
        nm_text_name(out, name);
    else
        print_quoted(out, name);
}

static void print_attr(printer *p, const nm_attr *a)
{
    fprintf(p->out, "%s = ", a->name);
    switch (a->kind) {
    case NM_ATTR_int: fprintf(p->out, "%" PRId64, a->u.i); break;
    case NM_ATTR_float: nm_text_float(p->out, a->u.f); break;
    case NM_ATTR_bool: fputs(a->u.b ? "true" : "false", p->out); break;
    case NM_ATTR_sym: nm_text_name(p->out, a->u.sym); break;
    case NM_ATTR_string: print_quoted(p->out, a->u.sym); break;
    case NM_ATTR_dtype: fputs(nm_dtype_table[a->u.dtype].name, p->out); break;
    case NM_ATTR_extent: nm_text_extent(p->out, a->u.extent); break;
    case NM_ATTR_dims:
        fputc('[', p->out);
        if (!strcmp(a->name, "axes"))
            print_axes(p->out, a->u.syms);
        else
            print_names(p->out, a->u.syms, ", ");
        fputc(']', p->out);
        break;
    }
}

static void indent(printer *p) { fprintf(p->out, "%*s", 2 * p->depth, ""); }

static void print_results(printer *p, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++) {
        fputs(i ? ", " : "", p->out);
        print_value(p, &op->out[i]);
    }
    fputs(op->n_out ? " = " : "", p->out);
}

static void print_ops(printer *p, nm_func *f);

static void print_body(printer *p, nm_func *body)
{
    fputs(" {\n", p->out);
    p->depth++;
    indent(p);
    fputc('(', p->out);
    for (int i = 0; i < body->n_params; i++) {
        fputs(i ? ", " : "", p->out);
        print_value(p, body->param[i]);
        fputs(": ", p->out);
        nm_text_type(p->out, p->m, body->param[i]->type);
    }
    fputc(')', p->out);
    print_loc(p, body->loc);
    fputc('\n', p->out);
    print_ops(p, body);
    p->depth--;
    indent(p);
    fputc('}', p->out);
}

static void print_op(printer *p, nm_op *op)
{
    indent(p);
    print_results(p, op);
    fputs(nm_info(op)->name, p->out);
    for (int i = 0; i < op->n_in; i++) {
        fputs(i ? ", " : " ", p->out);
        print_value(p, op->in[i]);
    }
    for (int i = 0; i < op->n_attrs; i++) {
        fputs(i ? ", " : " {", p->out);
        print_attr(p, &op->attr[i]);
    }
    fputs(op->n_attrs ? "}" : "", p->out);
    for (int i = 0; i < op->n_out; i++) {
        fputs(i ? ", " : " : ", p->out);
        nm_text_type(p->out, p->m, op->out[i].type);
    }
    print_loc(p, op->loc);
    if (op->body)
        print_body(p, op->body);
    fputc('\n', p->out);
}

static void print_ops(printer *p, nm_func *f)
{
    nm_each_op(op, f)
        print_op(p, op);
}

// --- functions -----------------------------------------------------------------------------------

// acc %grad.embed.w: f32[vocab, d]; acc(grad.embed.w) %g where the value has another name;
// link(x.in, x.out) %x.in.
static void print_bind(printer *p, nm_sym shown, const nm_bind *b)
{
    fputs(bind_name[b->kind], p->out);
    if (b->name != shown || b->next) {
        fputc('(', p->out);
        if (b->name)
            nm_text_name(p->out, b->name);
        if (b->next) {
            fputs(", ", p->out);
            nm_text_name(p->out, b->next);
        }
        fputc(')', p->out);
    }
    fputc(' ', p->out);
}

static void print_param(printer *p, const nm_value *v, const nm_bind *b)
{
    if (b->kind != NM_BIND_none || b->name)
        print_bind(p, p->name[v->id], b);
    print_value(p, v);
    fputs(": ", p->out);
    nm_text_type(p->out, p->m, v->type);
    if (b->index_of) {
        fputs(" of ", p->out);
        nm_text_name(p->out, b->index_of);
    }
}

static bool binds_any(const nm_func *f)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind != NM_BIND_none || f->result_bind[i].name ||
            f->result_bind[i].index_of)
            return true;
    return false;
}

static void print_results_of(printer *p, const nm_func *f)
{
    if (!binds_any(f))
        return;
    fputs(" -> (", p->out);
    for (int i = 0; i < f->n_results; i++) {
        const nm_bind *b = &f->result_bind[i];
        fprintf(p->out, "%s%s", i ? ", " : "", bind_name[b->kind]);
        if (b->name) {
            fputc(' ', p->out);
            print_name_but(p->out, b->name, "of");
        }
        if (b->index_of) {
            fputs(" of ", p->out);
            nm_text_name(p->out, b->index_of);
        }
    }
    fputc(')', p->out);
}

static void print_units(printer *p, uint64_t units)
{
    const char *between = "units = [";
    for (int i = 0; i < 64; i++)
        if (units >> i & 1) {
            fprintf(p->out, "%s%d", between, i);
            between = ", ";
        }
    fputc(']', p->out);
}

// {phase = backward, units = [1], mode = mesh, sums = once}
static void print_part(printer *p, const nm_part *part)
{
    const char *between = " {";
    if (part->phase != NM_PHASE_none) {
        fprintf(p->out, "%sphase = %s", between, phase_name[part->phase]);
        between = ", ";
    }
    if (part->units) {
        fputs(between, p->out);
        print_units(p, part->units);
        between = ", ";
    }
    if (part->mode) {
        fprintf(p->out, "%smode = ", between);
        nm_text_name(p->out, part->mode);
        between = ", ";
    }
    if (part->sums != NM_SUMS_each) {
        fprintf(p->out, "%ssums = %s", between, sums_name[part->sums]);
        between = ", ";
    }
    if (part->recompute != NM_RECOMPUTE_any) {
        fprintf(p->out, "%srecompute = %s", between, nm_recompute_name[part->recompute]);
        between = ", ";
    }
    if (part->products != NM_PRODUCTS_any) {
        fprintf(p->out, "%sproducts = %s", between, products_name[part->products]);
        between = ", ";
    }
    if (part->kept) {
        fprintf(p->out, "%skept = true", between);
        between = ", ";
    }
    fputs(*between == ',' ? "} " : "", p->out);
}

static void print_func(printer *p, nm_func *f)
{
    p->name = nm_new_n(&p->scratch, nm_sym, f->n_values);
    p->taken = (nm_hash_set){0};
    name_values(p, f);
    fputs("func @", p->out);
    nm_text_name(p->out, f->name ? f->name : "");
    print_part(p, &f->part);
    fputc('(', p->out);
    for (int i = 0; i < f->n_params; i++) {
        fputs(i ? ", " : "", p->out);
        print_param(p, f->param[i], &f->param_bind[i]);
    }
    fputc(')', p->out);
    print_results_of(p, f);
    print_loc(p, f->loc);
    fputs(" {\n", p->out);
    p->depth = 1;
    print_ops(p, f);
    fputs("}\n", p->out);
    nm_arena_free(&p->scratch);
}

void nm_print_func(FILE *out, nm_func *f, nm_print_opts opts)
{
    print_func(&(printer){.out = out, .m = f->module, .opts = opts}, f);
}

// --- tables --------------------------------------------------------------------------------------

static void print_bound(printer *p, const char **between, const char *name, int64_t value)
{
    if (!value)
        return;
    fprintf(p->out, "%s%s = %" PRId64, *between, name, value);
    *between = ", ";
}

// ?, ? of ff/tp, ? axis
static void print_runtime(printer *p, const nm_dim_decl *d)
{
    fputc('?', p->out);
    if (d->of) {
        fputs(" of ", p->out);
        nm_text_name(p->out, d->of);
        fputc('/', p->out);
        nm_text_axes(p->out, &d->axes);
    } else if (d->axes.n)
        fputs(" axis", p->out);
}

static void print_dim(printer *p, const nm_dim_decl *d)
{
    const char *between = "(";
    nm_text_name(p->out, d->name);
    print_bound(p, &between, "pad", d->pad);
    print_bound(p, &between, "min", d->min);
    print_bound(p, &between, "max", d->max);
    print_bound(p, &between, "multiple", d->multiple);
    print_bound(p, &between, "first", d->first);
    print_bound(p, &between, "each", d->each);
    fputs(*between == ',' ? ") = " : " = ", p->out);
    if (d->runtime)
        print_runtime(p, d);
    else
        nm_text_extent(p->out, d->extent);
    if (d->turns_of) {
        fputs(" turns of ", p->out);
        nm_text_name(p->out, d->turns_of);
    }
    print_loc(p, d->loc);
}

static void print_table_param(printer *p, const nm_param *r)
{
    nm_text_name(p->out, r->path);
    fputs(": ", p->out);
    nm_text_type(p->out, p->m, r->type);
    if (r->is_arrow)
        fprintf(p->out, " arrow(%d, %d)", r->n_batch, r->n_ins);
    fputs(r->frozen ? " frozen" : "", p->out);
    fputs(r->no_decay ? " no_decay" : "", p->out);
    fputs(r->state ? " state" : "", p->out);
    fputs(r->own ? " own" : "", p->out);
    if (r->optimizer) {
        fputs(" by ", p->out);
        nm_text_name(p->out, r->optimizer);
    }
    print_loc(p, r->loc);
}

static void print_hyper(printer *p, const nm_hyper *h)
{
    nm_text_name(p->out, h->name);
    fputs(" = ", p->out);
    nm_text_float(p->out, h->value);
    if (h->per_step != 0) {
        fputs(" per_step ", p->out);
        nm_text_float(p->out, h->per_step);
    }
    if (h->schedule) {
        fputs(" schedule ", p->out);
        nm_text_name(p->out, h->schedule);
    }
    print_loc(p, h->loc);
}

static void print_mesh_row(printer *p, const nm_mesh_row *row)
{
    nm_text_name(p->out, row->axis);
    fputc(':', p->out);
    for (int i = 0; i < row->dims.n; i++) {
        fputc(' ', p->out);
        print_name_but(p->out, row->dims.sym[i], "at");
    }
    print_loc(p, row->loc);
}

// What stands between the rows of a table in braces, and around them.
static void print_row_start(printer *p, const char *table, int i)
{
    if (i)
        fputs(",\n  ", p->out);
    else
        fprintf(p->out, "%s {\n  ", table);
}

static void print_rows_end(printer *p, int n) { fputs(n ? "\n}\n\n" : "", p->out); }

static void print_tables(printer *p)
{
    nm_module *m = p->m;
    for (int i = 0; i < m->n_dims; i++) {
        fputs(i ? ",\n     " : "dims ", p->out);
        print_dim(p, &m->dim[i]);
    }
    fputs(m->n_dims ? "\n\n" : "", p->out);
    for (int i = 0; i < m->n_mesh; i++) {
        print_row_start(p, "mesh", i);
        print_mesh_row(p, &m->mesh[i]);
    }
    print_rows_end(p, m->n_mesh);
    for (int i = 0; i < m->n_params; i++) {
        print_row_start(p, "params", i);
        print_table_param(p, &m->param[i]);
    }
    print_rows_end(p, m->n_params);
    for (int i = 0; i < m->n_hypers; i++) {
        print_row_start(p, "hypers", i);
        print_hyper(p, &m->hyper[i]);
    }
    print_rows_end(p, m->n_hypers);
}

void nm_print(FILE *out, nm_module *m, nm_print_opts opts)
{
    printer p = {.out = out, .m = m, .opts = opts};
    if (m->name) {
        fputs("module ", out);
        nm_text_name(out, m->name);
        if (m->preset) {
            fputs(" preset ", out);
            nm_text_name(out, m->preset);
        }
        fputs("\n\n", out);
    }
    print_tables(&p);
    nm_each_func(f, m) {
        print_func(&p, f);
        fputs(f->next ? "\n" : "", out);
    }
}
