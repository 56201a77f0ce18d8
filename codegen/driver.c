// The driver: one native function for each function of the module. Straight-line code that fills an
// argument block and launches, in program order; a repeat is a loop (backwards if it is reverse).
// Beside it the function's sizes and flops, computed from the run-time extents.
#include "codegen/bundle.h"
#include "codegen/drive.h"
#include "ir/launch.h"

// --- launches ------------------------------------------------------------------------------------

LLVMValueRef nm_drive_range(nm_drive *w, const nm_launch *l, LLVMValueRef syms)
{
    nm_fn *f = &w->fn;
    if (l->range)
        return nm_fn_extent_value(f, l->range, NM_SYM_SIZE);
    LLVMTypeRef type = LLVMFunctionType(f->i64, &f->ptr, 1, false);
    LLVMValueRef fn = LLVMGetNamedFunction(f->mod, l->count);
    if (!fn)
        fn = LLVMAddFunction(f->mod, l->count, type);
    return LLVMBuildCall2(f->b, type, fn, &syms, 1, "");
}

void nm_drive_launch(nm_drive *w, int kernel, LLVMValueRef range)
{
    nm_fn *f = &w->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->ptr};
    LLVMTypeRef type = LLVMFunctionType(f->nothing, param, 4, false);
    LLVMValueRef arg[] = {w->frame, nm_fn_i64(f, kernel), range, w->block};
    LLVMBuildCall2(f->b, type, w->launch, arg, 4, "");
}

static bool write_group(nm_drive *w, nm_op *group)
{
    nm_launches l;
    if (w->p->m->options.flavour == NM_FLAVOUR_gpu && nm_drive_product(w, group)) {
        w->position++;
        return true;
    }
    if (!nm_program_kernels(w->p, group, w->d->func->plan, &l))
        return false;
    for (int i = 0; i < l.n_args; i++)
        nm_drive_word(w, i, nm_drive_argument(w, &l.arg[i], group, &l.syms));
    LLVMValueRef syms = nm_drive_syms(w, &l.syms);
    for (int i = 0; i < l.n; i++)
        nm_drive_launch(w, nm_program_add_launch(w->p, group, &l.launch[i]),
                        nm_drive_range(w, &l.launch[i], syms));
    w->position++;
    return true;
}

static bool write_body(nm_drive *w, nm_func *body);

const nm_extent *nm_repeat_turns(nm_module *m, const nm_op *repeat)
{
    nm_sym over = nm_attr_sym(repeat, "over");
    for (int i = 0; i < repeat->n_in; i++) {
        int k = nm_type_find(repeat->in[i]->type, over);
        if (k >= 0)
            return repeat->in[i]->type->dim[k].extent;
    }
    for (int i = 0; i < repeat->n_out; i++) {
        int k = nm_type_find(repeat->out[i].type, over);
        if (k >= 0)
            return repeat->out[i].type->dim[k].extent;
    }
    return nm_dim_of(m, over).extent;
}

static bool write_repeat(nm_drive *w, nm_op *repeat)
{
    nm_fn *f = &w->fn;
    if (w->n_turns == NM_MAX_TURNS)
        return nm_error(w->p->m->diag, repeat->loc, "repeat: nested more than %d deep",
                        NM_MAX_TURNS);
    LLVMValueRef n = nm_fn_extent_value(f, nm_repeat_turns(w->p->m, repeat), NM_SYM_SIZE);
    nm_loop loop = nm_loop_begin(f, nm_fn_i64(f, 0), n, "turn");
    LLVMValueRef turn = loop.i;
    if (nm_attr_bool(repeat, "reverse"))
        turn = LLVMBuildSub(f->b, LLVMBuildSub(f->b, n, nm_fn_i64(f, 1), ""), loop.i, "");
    w->turn[w->n_turns++] = (nm_turn_value){repeat, turn};
    bool ok = write_body(w, repeat->body);
    w->n_turns--;
    nm_loop_end(f, &loop);
    return ok;
}

static bool write_body(nm_drive *w, nm_func *body)
{
    bool ok = true; // go on after an error: the user wants to see all that is not lowered
    nm_each_op(op, body) {
        if (op->code == NM_OP_group && nm_launch_last(op) != op) {
            ok = nm_drive_bundle(w, op) && ok;
            op = nm_launch_last(op);
        } else if (op->code == NM_OP_group)
            ok = write_group(w, op) && ok;
        else if (op->code == NM_OP_repeat)
            ok = write_repeat(w, op) && ok;
        else if (nm_is(op, NM_COLLECTIVE))
            ok = nm_drive_collective(w, op) && ok;
        else if (op->code == NM_OP_wait)
            nm_drive_wait(w, op);
        else if (op->code != NM_OP_ret && !nm_is(op, NM_VIEW) && !nm_is(op, NM_FREE))
            ok = nm_error(w->p->m->diag, op->loc,
                          "%s: is in no kernel and is not lowered by itself", nm_info(op)->name);
    }
    return ok;
}

// --- the three functions -------------------------------------------------------------------------

static LLVMValueRef start(nm_drive *w, const char *what, LLVMTypeRef type)
{
    LLVMValueRef fn =
        nm_fn_start(&w->fn, nm_arena_fmt(w->p->m->arena, "%s.%s", what, w->d->func->name), type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    return fn;
}

// frame: {sym, buf, call, device}; call: {launch, fill, copy, collective, wait, product}
static bool write_run(nm_drive *w)
{
    nm_fn *f = &w->fn;
    w->d->run = start(w, "run", LLVMFunctionType(f->nothing, &f->ptr, 1, false));
    w->frame = LLVMGetParam(f->fn, 0);
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    f->sym = nm_fn_load(f, f->ptr, w->frame, nm_fn_i64(f, 0));
    w->buf = nm_fn_load(f, f->ptr, w->frame, nm_fn_i64(f, 1));
    w->call = nm_fn_load(f, f->ptr, w->frame, nm_fn_i64(f, 2));
    w->launch = nm_fn_load(f, f->ptr, w->call, nm_fn_i64(f, 0));
    w->block = LLVMBuildAlloca(f->b, LLVMArrayType2(f->ptr, NM_MOST_WORDS), "block");
    nm_fn_leave_entry(f, back);
    bool ok = write_body(w, w->d->func);
    nm_fn_finish(f, NULL);
    return ok;
}

// moved: of a buffer that only has what a collective makes of so many elements: as many are not
// moved at all, and need no room. NULL: it has other values.
static void write_size(nm_fn *f, LLVMValueRef bytes, int i, const nm_extent *elems, int size,
                       const nm_extent *moved)
{
    LLVMValueRef n = nm_fn_extent_value(f, elems, NM_SYM_SIZE);
    if (moved) {
        LLVMValueRef from = nm_fn_extent_value(f, moved, NM_SYM_SIZE);
        n = LLVMBuildSelect(f->b, LLVMBuildICmp(f->b, LLVMIntEQ, n, from, ""), nm_fn_i64(f, 0), n,
                            "");
    }
    n = LLVMBuildMul(f->b, n, nm_fn_i64(f, size), "");
    LLVMBuildStore(f->b, n, nm_fn_at(f, f->i64, bytes, nm_fn_i64(f, i)));
}

static const nm_extent *elements(nm_module *m, const nm_type *t)
{
    const nm_extent *n = nm_extent_const(m, 1);
    for (int i = 0; i < t->rank; i++)
        n = nm_extent_mul(m, n, t->dim[i].extent);
    return n;
}

// By buffer: the elements of the operand of the collective whose loose result it is.
static void find_moved(nm_drive *w, const nm_func *body, const nm_extent **moved)
{
    const nm_plan *plan = w->d->func->plan;
    nm_each_op(op, body) {
        if (op->body)
            find_moved(w, op->body, moved);
        bool splits = op->code == NM_OP_all_gather || op->code == NM_OP_reduce_scatter;
        const nm_place *to = splits ? &plan->place[op->out[0].id] : NULL;
        if (to && to->loose)
            moved[to->buffer] = elements(w->p->m, op->in[0]->type);
    }
}

static void write_sizes(nm_drive *w)
{
    nm_fn *f = &w->fn;
    const nm_plan *plan = w->d->func->plan;
    LLVMTypeRef param[] = {f->ptr, f->ptr};
    w->d->sizes = start(w, "sizes", LLVMFunctionType(f->nothing, param, 2, false));
    f->sym = LLVMGetParam(f->fn, 0);
    LLVMValueRef bytes = LLVMGetParam(f->fn, 1);
    const nm_extent **moved = nm_new_n(w->p->m->arena, const nm_extent *, plan->n_buffers + 1);
    find_moved(w, w->d->func, moved);
    for (int i = 0; i < plan->n_buffers; i++)
        write_size(f, bytes, i, plan->buffer[i].elems, nm_dtype_table[plan->buffer[i].dtype].bytes,
                   moved[i]);
    for (int i = 0; i < w->d->n_workspaces; i++)
        write_size(f, bytes, plan->n_buffers + i, w->d->workspace[i].bytes, 1, NULL);
    nm_fn_finish(f, NULL);
}

static void write_flops(nm_drive *w)
{
    nm_fn *f = &w->fn;
    w->d->flops = start(w, "flops", LLVMFunctionType(f->i64, &f->ptr, 1, false));
    f->sym = LLVMGetParam(f->fn, 0);
    nm_fn_finish(f, nm_flops_of(f, w->d->func));
}

static bool write_driver(nm_program *p, nm_driver *d)
{
    nm_arena scratch = {0};
    nm_drive w = {.p = p, .d = d};
    w.given = nm_new_n(&scratch, LLVMValueRef, (size_t)d->func->n_values + 1);
    w.row = nm_new_n(&scratch, int, (size_t)d->func->n_values + 1);
    nm_fn_init(&w.fn, p->m, &scratch, p->ctx, p->driver_mod);
    nm_fn_serve(&w.fn, d->func);
    bool ok = write_run(&w);
    write_sizes(&w);
    write_flops(&w);
    nm_fn_release(&w.fn);
    nm_arena_free(&scratch);
    return ok;
}

// --- all of them ---------------------------------------------------------------------------------

static int count_funcs(const nm_module *m)
{
    int n = 0;
    nm_each_func(f, m)
        n++;
    return n;
}

bool nm_program_drivers(nm_program *p)
{
    bool ok = true;
    p->driver = nm_new_n(p->m->arena, nm_driver, (size_t)count_funcs(p->m) + 1);
    nm_each_func(f, p->m) {
        const char *entry;
        int role = nm_role_of(f, &entry);
        if (role < 0)
            continue;
        nm_driver *d = &p->driver[p->n_drivers++];
        *d = (nm_driver){.func = f, .role = role, .entry = entry};
        ok = write_driver(p, d) && ok;
    }
    return ok;
}
