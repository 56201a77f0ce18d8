// Building and changing functions in C, and what the verifier says of a function that C has broken:
// the text form cannot express these.
#include "ir/ir.h"
#include "tests/expect.h"

#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    nm_arena arena;
    nm_diag diag;
    nm_module *m;
    nm_func *f;
    nm_value *x, *a, *b, *c; // a = neg x; b = exp a; c = add a, b
    nm_op *group;            // of c, with a body of one neg
} fixture;

static nm_loc nowhere(void) { return (nm_loc){0}; }

static nm_op *make_group(nm_func *f, nm_value *v)
{
    nm_module *m = f->module;
    nm_func *body = nm_body_new(f, nowhere());
    nm_value *p = nm_func_param(body, v->type, NULL, (nm_bind){0});
    nm_value *y = nm_build1(body, NULL, nowhere(), NM_OP_neg, p);
    nm_func_ret(body, nowhere(), 1, &y, NULL);
    nm_attr kind = nm_mk_sym(m, "kind", nm_sym_get(m, "map"));
    return nm_build_op(
        f, NULL,
        &(nm_proto){
            .code = NM_OP_group, .n_in = 1, .in = &v, .n_attrs = 1, .attr = &kind, .body = body});
}

static fixture *start(void)
{
    fixture *t = calloc(1, sizeof *t);
    t->m = nm_module_new(&t->arena, &t->diag);
    nm_dim d = {.name = nm_sym_get(t->m, "d"), .extent = nm_extent_const(t->m, 4)};
    nm_type type = {.dtype = NM_f32, .rank = 1, .dim = {d}};
    t->f = nm_func_new(t->m, nm_sym_get(t->m, "f"), nowhere());
    t->x = nm_func_param(t->f, nm_type_get(t->m, &type), nm_sym_get(t->m, "h"), (nm_bind){0});
    t->a = nm_build1(t->f, NULL, nowhere(), NM_OP_neg, t->x);
    t->b = nm_build1(t->f, NULL, nowhere(), NM_OP_exp, t->a);
    t->c = nm_build2(t->f, NULL, nowhere(), NM_OP_add, t->a, t->b);
    t->group = make_group(t->f, t->c);
    nm_func_ret(t->f, nowhere(), 1, (nm_value *[]){&t->group->out[0]}, NULL);
    EXPECT(nm_verify(t->m));
    return t;
}

static void end(fixture *t)
{
    nm_arena_free(&t->arena);
    free(t);
}

static bool prints(fixture *t, const char *part)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    nm_print(out, t->m, (nm_print_opts){.locs = false});
    fclose(out);
    bool found = strstr(text, part);
    free(text);
    return found;
}

static void names(void)
{
    fixture *t = start();
    t->a->name = t->b->name = t->x->name;
    t->c->name = nm_sym_get(t->m, "odd \"name\"");
    EXPECT(prints(t, "%h.1 = neg %h "));
    EXPECT(prints(t, "%\"odd \\\"name\\\"\" = add %h.1, %h.2 "));
    end(t);
}

static void uses(void)
{
    fixture *t = start();
    EXPECT(nm_n_uses(t->a) == 2 && nm_used_once(t->b) && !nm_used_once(t->a));
    nm_replace(t->a, t->x);
    EXPECT(!t->a->uses && nm_n_uses(t->x) == 3 && t->b->def->in[0] == t->x && nm_verify(t->m));
    nm_erase(t->a->def);
    EXPECT(t->f->first == t->b->def && nm_n_uses(t->x) == 2 && nm_verify(t->m));
    nm_set_operand(t->c->def, 1, t->x);
    nm_move_before(t->b->def, t->group);
    EXPECT(t->group->prev == t->b->def && nm_verify(t->m));
    nm_erase(t->b->def);
    EXPECT(nm_n_uses(t->x) == 2 && nm_verify(t->m));
    end(t);
}

static void bodies(void)
{
    fixture *t = start();
    nm_value *map[16] = {0};
    EXPECT(t->group->body->parent == t->group && nm_func_outer(t->group->body) == t->f);
    nm_func *copy = nm_func_clone(t->f, nm_sym_get(t->m, "g"), map);
    EXPECT(nm_verify(t->m) && map[t->c->id]->func == copy && map[t->c->id]->def->code == NM_OP_add);
    nm_func *body = t->group->body; // another op takes the body over
    t->group->body = NULL;
    nm_op *again = nm_build_op(t->f, t->group,
                               &(nm_proto){.code = NM_OP_group,
                                           .n_in = 1,
                                           .in = &t->b,
                                           .n_attrs = 1,
                                           .attr = t->group->attr,
                                           .body = body});
    nm_replace(&t->group->out[0], &again->out[0]);
    nm_erase(t->group);
    EXPECT(nm_verify(t->m));
    nm_func_remove(t->f);
    EXPECT(t->m->first_func == copy && t->m->last_func == copy && nm_verify(t->m));
    end(t);
}

static void wrong_protos(void)
{
    fixture *t = start();
    EXPECT(!nm_build2(t->f, t->group, nowhere(), NM_OP_neg, t->a, t->b));
    EXPECT(!nm_build1(t->f, t->group, nowhere(), NM_OP_sum, t->a));
    EXPECT(!nm_build1(t->f, t->group, nowhere(), NM_OP_not, t->a));
    EXPECT(t->diag.errors == 3 && nm_n_uses(t->a) == 2 && nm_verify(t->m));
    end(t);
}

// Each breaks one promise of ir.h, and must not go unseen.
static void break_order(fixture *t) { nm_move_before(t->b->def, t->a->def); }
static void break_uses(fixture *t) { t->b->uses->prev = t->a->uses; }
static void break_slot(fixture *t) { t->c->def->in[1] = t->x; }
static void break_id(fixture *t) { t->b->id = t->a->id; }
static void break_high_id(fixture *t) { t->b->id = 1000; }
static void break_type(fixture *t) { t->b->type = nm_type_scalar(t->m, NM_f32); }
static void break_result(fixture *t) { t->b->def = t->a->def; }
static void break_list(fixture *t) { t->b->def->prev = NULL; }
static void break_ret(fixture *t) { nm_erase(t->f->last); }
static void break_binds(fixture *t) { t->f->n_results = 2; }
static void break_parent(fixture *t) { t->group->body->parent = NULL; }
static void break_body(fixture *t) { nm_set_operand(t->group->body->first, 0, t->x); }
static void break_attr(fixture *t) { t->group->n_attrs = 0; }
static void break_name(fixture *t) { t->f->name = NULL; }
static void break_reader(fixture *t) { t->a->uses->next = NULL; }

static void broken(void)
{
    static void (*const breaks[])(fixture *) = {
        break_order,  break_uses,   break_slot, break_id,   break_high_id,
        break_type,   break_result, break_list, break_ret,  break_binds,
        break_parent, break_body,   break_attr, break_name, break_reader,
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        fixture *t = start();
        breaks[i](t);
        if (nm_verify(t->m) || !t->diag.errors)
            fprintf(stderr, "break number %zu is not seen\n", i);
        EXPECT(t->diag.errors > 0);
        end(t);
    }
}

int main(void)
{
    names();
    uses();
    bodies();
    wrong_protos();
    broken();
    return expect_failed;
}
