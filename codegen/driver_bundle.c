// Groups that are launched together, as a driver function does it: their first launches, then their
// second ones (of sums in chunks), each in as few kernels as have room for the parts' words.
#include "codegen/bundle.h"
#include "codegen/drive.h"
#include "ir/launch.h"
#include "runtime/driver_abi.h"

#include <string.h>

typedef struct part { // a group
    nm_op *group;
    nm_launches l;
    LLVMValueRef *arg; // [l.n_args] words of its argument block
    LLVMValueRef syms; // its kernels' table
} part;

typedef struct bundle {
    nm_drive *w;
    int n;
    part *part;
    int step;       // 0: first launches, 1: second ones
    int n_now;      // parts of one kernel
    int *now;       // [n_now] in its order
    nm_kernel *row; // [n_now]
    int *table;     // [n_now] the first of them that has the same table of symbols
} bundle;

static const nm_launch *launch_of(const bundle *b, int part)
{
    return &b->part[part].l.launch[b->step];
}

// --- what goes into one kernel -------------------------------------------------------------------

// Words of the parameter; finds what parts share.
static int count_words(bundle *b)
{
    int words = nm_bundle_at(b->row, b->n_now, b->n_now);
    for (int i = 0; i < b->n_now; i++) {
        const part *x = &b->part[b->now[i]];
        int k = 0;
        while (b->part[b->now[k]].syms != x->syms)
            k++;
        b->table[i] = k;
        words += k == i ? NM_N_SYM_FIELDS * x->l.syms.n : 0;
    }
    return words;
}

static void list_rows(bundle *b)
{
    for (int i = 0; i < b->n_now; i++)
        b->row[i] = launch_of(b, b->now[i])->kernel;
}

static bool goes_before(const nm_kernel *a, const nm_kernel *b)
{
    int order = strcmp(a->function, b->function);
    return a->code < b->code || (a->code == b->code && order < 0);
}

// At its place among the bodies, if there is room.
static bool take(bundle *b, int part)
{
    const nm_kernel *k = &launch_of(b, part)->kernel;
    int at = b->n_now++;
    for (; at > 0 && goes_before(k, &b->row[at - 1]); at--)
        b->now[at] = b->now[at - 1];
    b->now[at] = part;
    list_rows(b);
    if (b->n_now == 1 ||
        (k->threads == b->row[at ? 0 : 1].threads && count_words(b) <= NM_MOST_WORDS))
        return true;
    b->n_now--;
    for (; at < b->n_now; at++)
        b->now[at] = b->now[at + 1];
    list_rows(b);
    return false;
}

// --- names ---------------------------------------------------------------------------------------

// The optimizer whose state one of the group's results is; or NULL.
static const char *optimizer_of(const bundle *b, const nm_op *group)
{
    const nm_driver *d = b->w->d;
    const nm_module *m = b->w->p->m;
    for (int i = 0; i < group->n_out && d->role == NMDRV_FINISH; i++)
        nm_each_use(u, &group->out[i]) {
            nm_sym path = u->op == d->func->last ? d->func->result_bind[u->index].name : NULL;
            for (int k = 0; k < m->n_params && path; k++)
                if (m->param[k].state && m->param[k].path == path)
                    return m->param[k].optimizer;
        }
    return NULL;
}

static const char *name_of(const bundle *b)
{
    nm_program *p = b->w->p;
    const nm_op *first = b->part[b->now[0]].group;
    const char *optimizer = optimizer_of(b, first);
    for (int i = 1; i < b->n_now && optimizer; i++) {
        const char *other = optimizer_of(b, b->part[b->now[i]].group);
        optimizer = other && strcmp(other, optimizer) == 0 ? optimizer : NULL;
    }
    return nm_arena_fmt(p->m->arena, "%s.%s (%d %s).%d", nm_attr_sym(first, "kind"),
                        optimizer ? optimizer : "together", b->n_now,
                        optimizer ? "parameters" : "kernels", p->n_kernels);
}

// --- launches ------------------------------------------------------------------------------------

// What the device puts in front of the argument block is word 0.
static void set_word(bundle *b, int at, LLVMValueRef value) { nm_drive_word(b->w, at - 1, value); }

static LLVMValueRef count_blocks(nm_fn *f, LLVMValueRef range, int64_t per_block)
{
    LLVMValueRef up = LLVMBuildAdd(f->b, range, nm_fn_i64(f, per_block - 1), "");
    return LLVMBuildSDiv(f->b, up, nm_fn_i64(f, per_block), "");
}

// The words of part i, at `at`; its blocks.
static LLVMValueRef write_part(bundle *b, int i, int at, int syms_at)
{
    nm_fn *f = &b->w->fn;
    const part *x = &b->part[b->now[i]];
    LLVMValueRef range = nm_drive_range(b->w, launch_of(b, b->now[i]), x->syms);
    set_word(b, at, range);
    for (int k = 0; k < x->l.n_args; k++) {
        bool syms = k == b->row[i].syms_at;
        set_word(b, at + 1 + k, syms ? nm_fn_i64(f, syms_at) : x->arg[k]);
    }
    return count_blocks(f, range, b->row[i].per_block);
}

static void write_table(bundle *b, const part *x, int at)
{
    nm_fn *f = &b->w->fn;
    for (int i = 0; i < NM_N_SYM_FIELDS * x->l.syms.n; i++)
        set_word(b, at + i, nm_fn_load(f, f->i64, x->syms, nm_fn_i64(f, i)));
}

// Where the table of symbols of each part begins, in `at`; those that are a part's own are written.
static void write_tables(bundle *b, int *at)
{
    int next = nm_bundle_at(b->row, b->n_now, b->n_now);
    for (int i = 0; i < b->n_now; i++) {
        const part *x = &b->part[b->now[i]];
        at[i] = b->table[i] < i ? at[b->table[i]] : next;
        if (at[i] < next)
            continue;
        write_table(b, x, next);
        next += NM_N_SYM_FIELDS * x->l.syms.n;
    }
}

static void launch_together(bundle *b)
{
    nm_fn *f = &b->w->fn;
    int syms_at[NM_MOST_WORDS];
    nm_kernel kernel = nm_program_bundle(b->w->p, b->n_now, b->row, count_words(b));
    kernel.name = name_of(b);
    kernel.where = nm_groups_where(b->w->p, b->part[0].group, b->part[b->n - 1].group);
    write_tables(b, syms_at);
    LLVMValueRef blocks = nm_fn_i64(f, 0);
    for (int i = 0; i < b->n_now; i++) {
        set_word(b, 1 + i, blocks);
        LLVMValueRef own = write_part(b, i, nm_bundle_at(b->row, b->n_now, i), syms_at[i]);
        blocks = LLVMBuildAdd(f->b, blocks, own, "");
    }
    nm_drive_launch(b->w, nm_program_add_kernel(b->w->p, &kernel), blocks);
}

static void launch_alone(bundle *b)
{
    const part *x = &b->part[b->now[0]];
    const nm_launch *l = launch_of(b, b->now[0]);
    for (int k = 0; k < x->l.n_args; k++)
        nm_drive_word(b->w, k, x->arg[k]);
    nm_drive_launch(b->w, nm_program_add_launch(b->w->p, x->group, l),
                    nm_drive_range(b->w, l, x->syms));
}

static void launch_step(bundle *b, bool *done)
{
    for (int first = 0; first < b->n; first++) {
        b->n_now = 0;
        for (int i = first; i < b->n; i++)
            if (!done[i] && b->part[i].l.n > b->step)
                done[i] = take(b, i);
        if (b->n_now > 1)
            launch_together(b);
        else if (b->n_now)
            launch_alone(b);
    }
}

// --- the groups ----------------------------------------------------------------------------------

static bool find_part(nm_drive *w, nm_op *group, part *x)
{
    x->group = group;
    if (!nm_program_kernels(w->p, group, w->d->func->plan, &x->l))
        return false;
    x->arg = nm_new_n(w->fn.scratch, LLVMValueRef, (size_t)x->l.n_args + 1);
    for (int i = 0; i < x->l.n_args; i++)
        x->arg[i] = nm_drive_argument(w, &x->l.arg[i], group, &x->l.syms);
    x->syms = nm_drive_syms(w, &x->l.syms);
    return true;
}

bool nm_drive_bundle(nm_drive *w, nm_op *first)
{
    nm_arena *scratch = w->fn.scratch;
    const nm_op *end = nm_launch_last(first)->next;
    bundle b = {.w = w};
    for (nm_op *op = first; op != end; op = op->next)
        b.n++;
    b.part = nm_new_n(scratch, part, b.n);
    b.now = nm_new_n(scratch, int, b.n);
    b.row = nm_new_n(scratch, nm_kernel, b.n);
    b.table = nm_new_n(scratch, int, b.n);
    bool ok = true;
    for (nm_op *op = first; op != end; op = op->next)
        ok = find_part(w, op, &b.part[b.n_now++]) && ok;
    for (b.step = 0; b.step < NM_MAX_LAUNCHES && ok; b.step++)
        launch_step(&b, nm_new_n(scratch, bool, b.n));
    w->position++;
    return ok;
}
