// Patterns are short and matched by walking their text: no tree to build, print or free. A rule is
// tried only at ops of its root's opcode.
#include "passes/rewrite.h"

#include "passes/remarks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *skip(const char *p) { return p + strspn(p, " ,"); }

static nm_opcode opcode_at(const char **p)
{
    size_t n = 0;
    while (isalnum((unsigned char)(*p)[n]) || (*p)[n] == '_')
        n++;
    int code = nm_opcode_find(*p, n);
    if (code < 0)
        nm_bug("rewrite rule: no op at '%s'", *p);
    *p += n;
    return (nm_opcode)code;
}

static bool is_number(const char *p) { return isdigit((unsigned char)*p) || *p == '-'; }

static const char *skip_term(const char *p)
{
    p = skip(p);
    if (*p == '?' || *p == '$')
        return p + 2;
    if (is_number(p)) {
        char *end;
        strtod(p, &end);
        return end;
    }
    opcode_at(&p);
    for (p++; *(p = skip(p)) != ')';)
        p = skip_term(p);
    return p + 1;
}

// --- matching ----------------------------------------------------------------------------------

static bool fail(nm_match *m, const char *p, const char *why)
{
    if (p >= m->miss) {
        m->miss = p;
        m->why = why;
    }
    return false;
}

static bool same_attr(const nm_attr *a, const nm_attr *b)
{
    if (a->name != b->name || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case NM_ATTR_float: return !memcmp(&a->u.f, &b->u.f, sizeof a->u.f);
    case NM_ATTR_bool: return a->u.b == b->u.b;
    case NM_ATTR_dtype: return a->u.dtype == b->u.dtype;
    case NM_ATTR_dims:
        return a->u.syms.n == b->u.syms.n &&
               (!a->u.syms.n ||
                !memcmp(a->u.syms.sym, b->u.syms.sym, (size_t)a->u.syms.n * sizeof(nm_sym)));
    default: return a->u.i == b->u.i; // an int or an interned pointer
    }
}

bool nm_same_attrs(const nm_op *a, const nm_op *b)
{
    if (a->n_attrs != b->n_attrs)
        return false;
    for (int i = 0; i < a->n_attrs; i++)
        if (!same_attr(&a->attr[i], &b->attr[i]))
            return false;
    return true;
}

static bool match(nm_match *m, const nm_rule *r, const char *p, nm_value *v, bool inner);

static bool match_args(nm_match *m, const nm_rule *r, const char *p, nm_op *op, bool swap)
{
    for (int i = 0; i < op->n_in; i++, p = skip_term(p)) {
        if (*skip(p) == ')' || *skip(p) == '$')
            return fail(m, skip(p), "fewer operands in the pattern");
        if (!match(m, r, p, op->in[swap ? 1 - i : i], true))
            return false;
    }
    p = skip(p);
    if (*p == '$') {
        const nm_op **slot = &m->attr[p[1] - 'a'];
        if (*slot && !nm_same_attrs(*slot, op))
            return fail(m, p, "other attributes");
        *slot = op;
        p = skip(p + 2);
    }
    return *p == ')' || fail(m, p, "more operands in the pattern");
}

static bool match_var(nm_match *m, const char *p, nm_value *v)
{
    nm_value **slot = &m->var[p[1] - 'a'];
    if (*slot)
        return *slot == v || fail(m, p, "another value");
    *slot = v;
    return true;
}

static bool match(nm_match *m, const nm_rule *r, const char *p, nm_value *v, bool inner)
{
    p = skip(p);
    if (*p == '?')
        return match_var(m, p, v);
    const nm_op *def = v->def;
    if (is_number(p)) {
        bool hit =
            def && def->code == NM_OP_const && nm_attr_float(def, "value", 0) == strtod(p, NULL);
        return hit || fail(m, p, "not this constant");
    }
    const char *start = p;
    nm_opcode code = opcode_at(&p);
    if (!def || def->code != code || v->index)
        return fail(m, start, "computed by another op");
    if (inner && r->fuse && !nm_used_once(v))
        return fail(m, start, "read by several ops");
    nm_match saved = *m;
    if (match_args(m, r, p + 1, v->def, false))
        return true;
    if (!(nm_op_table[code].traits & NM_COMMUTES))
        return false;
    saved.miss = m->miss, saved.why = m->why;
    *m = saved;
    return match_args(m, r, p + 1, v->def, true);
}

// --- building ----------------------------------------------------------------------------------

static nm_value *instantiate(nm_match *m, const char **p);

static nm_value *instantiate_op(nm_match *m, const char **p)
{
    nm_value *in[4];
    nm_proto proto = {.code = opcode_at(p), .loc = m->root->loc, .in = in};
    for (++*p; *(*p = skip(*p)) != ')';) {
        if (**p == '$') {
            const nm_op *from = m->attr[(*p)[1] - 'a'];
            proto.attr = from->attr;
            proto.n_attrs = from->n_attrs;
            *p += 2;
            continue;
        }
        in[proto.n_in++] = instantiate(m, p);
    }
    ++*p;
    return nm_build(m->f, m->root, &proto);
}

static nm_value *instantiate(nm_match *m, const char **p)
{
    *p = skip(*p);
    if (**p == '?') {
        nm_value *v = nm_var(m, (*p)[1]);
        *p += 2;
        return v;
    }
    if (!is_number(*p))
        return instantiate_op(m, p);
    char *end;
    double value = strtod(*p, &end);
    *p = end;
    return nm_build_const(m->f, m->root, m->root->loc, m->root->out[0].type->dtype, value);
}

// v with the root's type: only dims (or their order) may be missing.
static nm_value *fit(nm_match *m, const nm_rule *r, nm_value *v)
{
    const nm_type *want = m->root->out[0].type;
    if (!v || v->type == want)
        return v;
    if (v->type->dtype != want->dtype)
        nm_bug("rule '%s' changed the dtype of its root", r->text);
    bool fresh = v->def && !v->uses && nm_is(v->def, NM_MAP);
    if (fresh && nm_type_same_set(v->type, want)) { // a map gives any order: order is layout
        v->type = want;
        return v;
    }
    return nm_build(
        m->f, m->root,
        &(nm_proto){
            .code = NM_OP_broadcast, .loc = m->root->loc, .n_in = 1, .in = &v, .type = want});
}

static bool is_erased(const nm_op *op) { return !op->prev && op->func->first != op; }

void nm_erase_dead(nm_value *v)
{
    nm_op *op = v->def;
    if (!op || !nm_is(op, NM_PURE) || is_erased(op))
        return;
    for (int i = 0; i < op->n_out; i++)
        if (op->out[i].uses)
            return;
    int n = op->n_in;
    nm_value **in = nm_new_n(op->func->module->arena, nm_value *, n + 1);
    for (int i = 0; i < n; i++)
        in[i] = op->in[i];
    nm_erase(op);
    for (int i = 0; i < n; i++)
        nm_erase_dead(in[i]);
}

// --- the sweep ---------------------------------------------------------------------------------

static void remark(const nm_match *m, const nm_rule *r, bool matched)
{
    nm_remark_rule(m->f->module->remarks, r->text, m->root, matched, m->miss, m->why);
}

static bool try_rule(nm_func *f, nm_op *op, const nm_rule *r)
{
    nm_match m = {.f = f, .root = op, .miss = r->text, .why = ""};
    if (!match(&m, r, r->text, &op->out[0], false)) {
        remark(&m, r, false);
        return false;
    }
    if (r->when && !r->when(&m)) {
        m.why = "its condition does not hold";
        remark(&m, r, false);
        return false;
    }
    const char *result = strstr(r->text, "=>");
    result = result ? result + 2 : NULL;
    nm_value *v = fit(&m, r, r->build ? r->build(&m) : instantiate(&m, &result));
    if (!v) {
        m.why = "its builder declined";
        remark(&m, r, false);
        return false;
    }
    remark(&m, r, true);
    if (v->def && !v->name)
        v->name = op->out[0].name;
    nm_replace(&op->out[0], v);
    nm_erase_dead(&op->out[0]);
    return true;
}

static bool sweep(nm_func *f, const nm_rule *rules, size_t n, const nm_opcode *root)
{
    bool any = false;
    nm_each_op_safe(op, f) {
        if (op->body)
            any |= sweep(op->body, rules, n, root);
        for (size_t i = 0; i < n; i++) {
            bool usable = !rules[i].fast || f->module->options.fast_casts;
            if (root[i] != op->code || !usable || op->n_out != 1 || !op->out[0].uses)
                continue;
            if (try_rule(f, op, &rules[i])) {
                any = true;
                break;
            }
        }
    }
    return any;
}

void nm_rewrite(nm_func *f, const nm_rule *rules, size_t n, bool *changed)
{
    nm_arena scratch = {0};
    nm_opcode *root = nm_new_n(&scratch, nm_opcode, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *p = skip(rules[i].text);
        root[i] = opcode_at(&p);
    }
    while (sweep(f, rules, n, root))
        *changed = true;
    nm_arena_free(&scratch);
}
