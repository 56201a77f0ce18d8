// What the tree says: precedence and association of operators, spans, path patterns.
#include "frontend/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_failed;

static void expect_text(const char *what, const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return;
    printf("%s: got %s, want %s\n", what, got, want);
    n_failed++;
}

static nm_ast_file *parse(nm_module *m, const char *text)
{
    const nm_source *src = nm_source_text(m->arena, m->diag, "test.nm", text, strlen(text));
    nm_ast_file *file = src ? nm_parse_nm(m, src) : NULL;
    if (!file)
        exit(1);
    return file;
}

// --- expressions, as (op a b) --------------------------------------------------------------------

static const char *shown(nm_module *m, const nm_ast_expr *e)
{
    nm_arena *a = m->arena;
    switch (e->kind) {
    case NM_EXPR_name: return e->u.name.sym;
    case NM_EXPR_number: return nm_arena_fmt(a, "%g", e->u.number.f);
    case NM_EXPR_unary:
        return nm_arena_fmt(a, "(%s %s)", e->u.unary.op == NM_UN_neg ? "-" : "not",
                            shown(m, e->u.unary.a));
    case NM_EXPR_binary:
        return nm_arena_fmt(a, "(%s %s %s)", nm_ast_binary_text(e->u.binary.op),
                            shown(m, e->u.binary.a), shown(m, e->u.binary.b));
    case NM_EXPR_if:
        return nm_arena_fmt(a, "(if %s %s %s)", shown(m, e->u.if_.cond), shown(m, e->u.if_.then),
                            shown(m, e->u.if_.other));
    case NM_EXPR_call:
        return nm_arena_fmt(a, "%s(%d)", shown(m, e->u.call.callee), e->u.call.n_args);
    case NM_EXPR_view: return nm_arena_fmt(a, "%s[%d]", shown(m, e->u.view.of), e->u.view.n);
    case NM_EXPR_tuple: return nm_arena_fmt(a, "tuple(%d)", e->u.tuple.n);
    case NM_EXPR_string: return e->u.string;
    }
    return "?";
}

static void test_expressions(nm_module *m)
{
    static const char *const cases[][2] = {
        {"a + b * c", "(+ a (* b c))"},
        {"a - b - c", "(- (- a b) c)"},
        {"a ^ b ^ c", "(^ a (^ b c))"},
        {"-a ^ 2", "(- (^ a 2))"},
        {"2 ^ -a", "(^ 2 (- a))"},
        {"-a * b", "(* (- a) b)"},
        {"not a == b and c", "(and (not (== a b)) c)"},
        {"a or b and c", "(or a (and b c))"},
        {"a // b % c", "(% (// a b) c)"},
        {"a < b + 1", "(< a (+ b 1))"},
        {"if a then b else c + 1", "(if a b (+ c 1))"},
        {"f(x)(y)[a = 1, +b][c -> d]", "f(1)(1)[2][1]"},
        {"q: f(x, d -> h hd, a b, k = 0..2, ...)", "f(5)"},
        {"(a,)", "tuple(1)"},
        {"((a))", "a"},
        {"()", "tuple(0)"},
        {"1e3", "1000"},
        {"x[t = 1..]", "x[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = nm_arena_fmt(m->arena, "fn f(x) = %s", cases[i][0]);
        nm_ast_file *file = parse(m, text);
        const nm_ast_expr *e = file->def[0].value.expr[0];
        expect_text(cases[i][0], shown(m, e), cases[i][1]);
        if (e->loc.off != strlen("fn f(x) = ") || e->loc.len != strlen(cases[i][0]))
            expect_text(cases[i][0], "a wrong span", "the whole expression");
    }
}

// --- patterns ------------------------------------------------------------------------------------

static void test_patterns(nm_module *m)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"decoder.q.w", "decoder.q.w", true},
        {"decoder.q", "decoder.q.w", false},
        {"decoder.*.w", "decoder.q.w", true},
        {"decoder.*.w", "decoder.moe.q.w", false},
        {"decoder.**", "decoder.q.w", true},
        {"decoder.**", "decoder", true},
        {"**", "a", true},
        {"**.w", "w", true},
        {"**.lora.**", "decoder.q.lora.a.w", true},
        {"**.lora.**", "decoder.q.w", false},
        {"decoder.{q, k, v}.w", "decoder.k.w", true},
        {"decoder.{q, k, v}.w", "decoder.o.w", false},
        {"up.0.w", "up.0.w", true},
        {"up.0.1.w", "up.0.1.w", true},
        {"up.*.w", "up.12.w", true},
        {"**.a.**.b", "a.a.b.c.b", true},
        {"**.a.**.b", "a.a.b.c", false},
        {"decoder[layers = 0..4].w", "decoder.w", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_ast_file *file = parse(m, nm_arena_fmt(m->arena, "adapt f() on %s", cases[i].pattern));
        bool matches = nm_paths_match(&file->adapt[0].on, cases[i].path);
        if (matches != cases[i].matches)
            expect_text(cases[i].pattern, matches ? "a match" : "no match", cases[i].path);
    }
}

static bool is_layers(void *user, nm_sym name)
{
    (void)user;
    return strcmp(name, "layers") == 0;
}

static void test_near(nm_module *m)
{
    const nm_sym paths[] = {"embed.w", "decoder.q.w", "decoder.attn_norm.w"};
    nm_ast_file *file = parse(m, "adapt f() on decoder.layers.w, decoder.atn_norm.w, zzzzzzzz");
    const nm_ast_path *p = file->adapt[0].on.path;
    expect_text("near 0", nm_path_near(m, &p[0], 3, paths, is_layers, NULL),
                "near: decoder.q.w, and 'layers' is a dim, not a step of the path");
    expect_text("near 1", nm_path_near(m, &p[1], 3, paths, is_layers, NULL),
                "near: decoder.attn_norm.w");
    expect_text("near 2", nm_path_near(m, &p[2], 3, paths, NULL, NULL), "");
}

int main(void)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stdout);
    nm_module *m = nm_module_new(&arena, &diag);
    test_expressions(m);
    test_patterns(m);
    test_near(m);
    nm_arena_free(&arena);
    return n_failed != 0;
}
