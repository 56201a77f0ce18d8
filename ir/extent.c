// Extents in canonical form: a sum of terms in a fixed order, no two with the same atoms, no zero
// factor; atoms of a term in a fixed order. Quotients are reduced: what divides is taken out,
// common factors of numerator and denominator are cancelled, (a // b) // c is a // (b * c) for
// constants. The order is structural (names, then shape), never the order of creation.
//
// A result that does not fit (64 bits, NM_MAX_ATOMS, NM_MAX_TERMS, NM_MAX_NEST) and a division by
// the constant 0 are NULL, and NULL operands give NULL, so that callers test once.
#include "ir/tables.h"

#include "base/hash.h"

#include <string.h>

typedef struct sum { // an extent being built
    int n;
    bool overflow;
    nm_term term[NM_MAX_TERMS];
} sum;

// --- order ---------------------------------------------------------------------------------------

static int compare_atoms(const nm_atom *a, const nm_atom *b)
{
    if (a->sym || b->sym)
        return !a->sym ? 1 : !b->sym ? -1 : a->sym == b->sym ? 0 : strcmp(a->sym, b->sym);
    int c = nm_extent_compare(a->num, b->num);
    return c ? c : nm_extent_compare(a->den, b->den);
}

// More atoms first, so that the constant is last: batch * seq + seq + 1.
static int compare_products(const nm_term *a, const nm_term *b)
{
    if (a->n_atoms != b->n_atoms)
        return a->n_atoms > b->n_atoms ? -1 : 1;
    for (int i = 0; i < a->n_atoms; i++) {
        int c = compare_atoms(&a->atom[i], &b->atom[i]);
        if (c)
            return c;
    }
    return 0;
}

int nm_extent_compare(const nm_extent *a, const nm_extent *b)
{
    if (a == b)
        return 0;
    for (int i = 0; i < a->n_terms && i < b->n_terms; i++) {
        int c = compare_products(&a->term[i], &b->term[i]);
        if (c)
            return c;
        if (a->term[i].factor != b->term[i].factor)
            return a->term[i].factor < b->term[i].factor ? -1 : 1;
    }
    return (a->n_terms > b->n_terms) - (a->n_terms < b->n_terms);
}

// --- interning -----------------------------------------------------------------------------------

static uint64_t hash_terms(const nm_term *term, int n)
{
    uint64_t h = nm_hash64(&n, sizeof n);
    for (int i = 0; i < n; i++) {
        h = nm_hash64_more(h, &term[i].factor, sizeof term[i].factor);
        for (int k = 0; k < term[i].n_atoms; k++) {
            const nm_atom *a = &term[i].atom[k];
            const void *parts[] = {a->sym, a->num, a->den};
            h = nm_hash64_more(h, parts, sizeof parts);
        }
    }
    return h;
}

static bool same_terms(const void *item, const void *wanted)
{
    const nm_extent *a = item, *b = wanted;
    return nm_extent_compare(a, b) == 0;
}

static const nm_extent *intern(nm_module *m, const sum *s)
{
    if (s->overflow)
        return NULL;
    nm_extent wanted = {.n_terms = s->n, .term = s->term};
    struct nm_hash_slot *slot = nm_hash_set_find(m->arena, &m->tables->extents,
                                                 hash_terms(s->term, s->n), same_terms, &wanted);
    if (!slot->item) {
        nm_term *term = nm_new_n(m->arena, nm_term, s->n);
        memcpy(term, s->term, (size_t)s->n * sizeof *term);
        nm_extent *e = nm_new(m->arena, nm_extent);
        *e = (nm_extent){.id = m->tables->n_extents++, .n_terms = s->n, .term = term};
        slot->item = e;
    }
    return slot->item;
}

// --- sums and products ---------------------------------------------------------------------------

static void remove_term(sum *s, int at)
{
    s->n--;
    memmove(&s->term[at], &s->term[at + 1], (size_t)(s->n - at) * sizeof s->term[0]);
}

static void add_term(sum *s, const nm_term *t)
{
    int at = 0, c = 1;
    if (!t->factor || s->overflow)
        return;
    while (at < s->n && (c = compare_products(&s->term[at], t)) < 0)
        at++;
    if (at < s->n && c == 0) {
        int64_t *factor = &s->term[at].factor;
        s->overflow |= __builtin_add_overflow(*factor, t->factor, factor);
        if (*factor == 0)
            remove_term(s, at);
        return;
    }
    if (s->n == NM_MAX_TERMS) {
        s->overflow = true;
        return;
    }
    memmove(&s->term[at + 1], &s->term[at], (size_t)(s->n - at) * sizeof s->term[0]);
    s->term[at] = *t;
    s->n++;
}

static void add_extent(sum *s, const nm_extent *e)
{
    for (int i = 0; i < e->n_terms; i++)
        add_term(s, &e->term[i]);
}

static void insert_atom(nm_term *t, nm_atom a)
{
    int at = t->n_atoms++;
    for (; at && compare_atoms(&t->atom[at - 1], &a) > 0; at--)
        t->atom[at] = t->atom[at - 1];
    t->atom[at] = a;
}

static bool multiply_terms(const nm_term *a, const nm_term *b, nm_term *out)
{
    *out = *a;
    if (__builtin_mul_overflow(a->factor, b->factor, &out->factor) ||
        a->n_atoms + b->n_atoms > NM_MAX_ATOMS)
        return false;
    for (int i = 0; i < b->n_atoms; i++)
        insert_atom(out, b->atom[i]);
    return true;
}

const nm_extent *nm_extent_const(nm_module *m, int64_t value)
{
    sum s = {0};
    add_term(&s, &(nm_term){.factor = value});
    return intern(m, &s);
}

const nm_extent *nm_extent_sym(nm_module *m, nm_sym sym)
{
    sum s = {0};
    add_term(&s, &(nm_term){.factor = 1, .n_atoms = 1, .atom = {{.sym = sym}}});
    return intern(m, &s);
}

const nm_extent *nm_extent_add(nm_module *m, const nm_extent *a, const nm_extent *b)
{
    if (!a || !b)
        return NULL;
    sum s = {0};
    add_extent(&s, a);
    add_extent(&s, b);
    return intern(m, &s);
}

const nm_extent *nm_extent_mul(nm_module *m, const nm_extent *a, const nm_extent *b)
{
    if (!a || !b)
        return NULL;
    sum s = {0};
    nm_term t;
    for (int i = 0; i < a->n_terms; i++)
        for (int k = 0; k < b->n_terms; k++) {
            if (!multiply_terms(&a->term[i], &b->term[k], &t))
                return NULL;
            add_term(&s, &t);
        }
    return intern(m, &s);
}

// --- quotients -----------------------------------------------------------------------------------

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static uint64_t magnitude(int64_t v) { return v < 0 ? 0 - (uint64_t)v : (uint64_t)v; }

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b, b = r;
    }
    return a;
}

// t without the atoms of d, if it has them all and d's factor divides.
static bool divide_term(const nm_term *t, const nm_term *d, nm_term *out)
{
    if (t->factor % d->factor)
        return false;
    int k = 0;
    *out = (nm_term){.factor = t->factor / d->factor};
    for (int i = 0; i < t->n_atoms; i++)
        if (k < d->n_atoms && compare_atoms(&t->atom[i], &d->atom[k]) == 0)
            k++;
        else
            out->atom[out->n_atoms++] = t->atom[i];
    return k == d->n_atoms;
}

// The terms of `num` that d divides go to `whole`, the others to `rest`. Of a constant and a
// constant d, the whole part goes to `whole`, too. d is positive.
static void split_terms(const nm_extent *num, const nm_term *d, sum *whole, sum *rest)
{
    nm_term q;
    for (int i = 0; i < num->n_terms; i++) {
        nm_term t = num->term[i];
        if (divide_term(&t, d, &q)) {
            add_term(whole, &q);
            continue;
        }
        if (!t.n_atoms && !d->n_atoms) {
            int64_t part = floor_div(t.factor, d->factor);
            add_term(whole, &(nm_term){.factor = part});
            t.factor -= part * d->factor;
        }
        add_term(rest, &t);
    }
}

// (g x + r) // (g c) is (x + r // g) // c.
static void cancel(sum *num, int64_t *den)
{
    uint64_t g = magnitude(*den);
    for (int i = 0; i < num->n; i++)
        if (num->term[i].n_atoms)
            g = gcd(g, magnitude(num->term[i].factor));
    if (g <= 1)
        return;
    *den /= (int64_t)g;
    for (int i = num->n - 1; i >= 0; i--) {
        num->term[i].factor = floor_div(num->term[i].factor, (int64_t)g);
        if (!num->term[i].factor)
            remove_term(num, i);
    }
}

int nm_extent_nest(const nm_extent *e)
{
    int nest = 0;
    for (int i = 0; i < e->n_terms; i++)
        for (int k = 0; k < e->term[i].n_atoms; k++) {
            const nm_atom *a = &e->term[i].atom[k];
            int n = a->sym ? 0 : nm_extent_nest(a->num), d = a->sym ? 0 : nm_extent_nest(a->den);
            int deeper = a->sym ? 0 : 1 + (n > d ? n : d);
            nest = deeper > nest ? deeper : nest;
        }
    return nest;
}

static const nm_extent *quotient(nm_module *m, const nm_extent *num, const nm_extent *den)
{
    if (!num || !den || nm_extent_nest(num) >= NM_MAX_NEST || nm_extent_nest(den) >= NM_MAX_NEST)
        return NULL;
    sum s = {0};
    add_term(&s, &(nm_term){.factor = 1, .n_atoms = 1, .atom = {{.num = num, .den = den}}});
    return intern(m, &s);
}

// num // den of what cannot be divided term by term.
static const nm_extent *divide_rest(nm_module *m, sum *rest, const nm_extent *den)
{
    int64_t c;
    if (!nm_extent_is_const(den, &c))
        return quotient(m, intern(m, rest), den);
    cancel(rest, &c);
    const nm_extent *num = intern(m, rest);
    if (c == 1 || !num)
        return num;
    const nm_atom *inner =
        num->n_terms == 1 && num->term[0].factor == 1 && num->term[0].n_atoms == 1
            ? &num->term[0].atom[0]
            : NULL;
    int64_t inner_c;
    if (inner && !inner->sym && nm_extent_is_const(inner->den, &inner_c) && inner_c > 0 &&
        !__builtin_mul_overflow(inner_c, c, &c))
        return nm_extent_div(m, inner->num, nm_extent_const(m, c));
    return quotient(m, num, nm_extent_const(m, c));
}

const nm_extent *nm_extent_div(nm_module *m, const nm_extent *a, const nm_extent *b)
{
    if (!a || !b || !b->n_terms)
        return NULL;
    if (b->n_terms > 1)
        return a == b ? nm_extent_const(m, 1) : quotient(m, a, b);
    if (b->term[0].factor < 0)
        return nm_extent_div(m, nm_extent_mul(m, a, nm_extent_const(m, -1)),
                             nm_extent_mul(m, b, nm_extent_const(m, -1)));
    sum whole = {0}, rest = {0};
    split_terms(a, &b->term[0], &whole, &rest);
    const nm_extent *w = intern(m, &whole);
    if (!rest.n && !rest.overflow)
        return w;
    return nm_extent_add(m, w, rest.overflow ? NULL : divide_rest(m, &rest, b));
}

// --- reading -------------------------------------------------------------------------------------

bool nm_extent_is_const(const nm_extent *e, int64_t *value)
{
    if (e->n_terms > 1 || (e->n_terms == 1 && e->term[0].n_atoms))
        return false;
    if (value)
        *value = e->n_terms ? e->term[0].factor : 0;
    return true;
}

// Sizes come from the user; sums that do not fit wrap, a divisor below 1 gives 0.
int64_t nm_extent_eval(const nm_extent *e, int64_t (*lookup)(void *user, nm_sym sym), void *user)
{
    uint64_t total = 0;
    for (int i = 0; i < e->n_terms; i++) {
        uint64_t product = (uint64_t)e->term[i].factor;
        for (int k = 0; k < e->term[i].n_atoms; k++) {
            const nm_atom *a = &e->term[i].atom[k];
            int64_t den = a->sym ? 1 : nm_extent_eval(a->den, lookup, user);
            product *= (uint64_t)(a->sym    ? lookup(user, a->sym)
                                  : den < 1 ? 0
                                            : floor_div(nm_extent_eval(a->num, lookup, user), den));
        }
        total += product;
    }
    return (int64_t)total;
}

static int64_t nominal(void *user, nm_sym sym)
{
    (void)user;
    return strcmp(sym, "batch") == 0 ? 8 : 1024;
}

int64_t nm_extent_nominal(const nm_extent *e) { return nm_extent_eval(e, nominal, NULL); }

bool nm_extent_reads(const nm_extent *e, nm_sym sym)
{
    for (int i = 0; i < e->n_terms; i++)
        for (int k = 0; k < e->term[i].n_atoms; k++) {
            const nm_atom *a = &e->term[i].atom[k];
            if (a->sym ? a->sym == sym
                       : nm_extent_reads(a->num, sym) || nm_extent_reads(a->den, sym))
                return true;
        }
    return false;
}
