// A kernel being generated: its arguments, its functions, and what has been written in each.
#include "codegen/gen.h"

#include <string.h>

// --- coordinates ---------------------------------------------------------------------------------

static int find_coord(const nm_coords *c, nm_sym dim)
{
    for (int i = 0; i < c->n; i++)
        if (c->c[i].dim == dim)
            return i;
    return -1;
}

bool nm_coords_has(const nm_coords *c, nm_sym dim) { return find_coord(c, dim) >= 0; }

LLVMValueRef nm_coords_get(const nm_coords *c, nm_sym dim)
{
    int i = find_coord(c, dim);
    if (i < 0)
        nm_bug("codegen: no coordinate along '%s'", dim);
    return c->c[i].at;
}

void nm_coords_set(nm_coords *c, nm_sym dim, LLVMValueRef at)
{
    int i = find_coord(c, dim);
    if (i < 0)
        i = c->n++;
    if (i >= NM_MAX_COORDS)
        nm_bug("codegen: more than %d coordinates", NM_MAX_COORDS);
    c->c[i] = (nm_coord){dim, at};
}

// --- arguments -----------------------------------------------------------------------------------

bool nm_same_place(const nm_place *a, const nm_place *b)
{
    if (a->buffer != b->buffer || a->start != b->start || a->n_turns != b->n_turns)
        return false;
    for (int i = 0; i < a->n_turns; i++)
        if (a->turn[i].repeat != b->turn[i].repeat || a->turn[i].stride != b->turn[i].stride)
            return false;
    return true;
}

// The first argument in the same buffer: numbers of its own make equal kernels equal code.
static int alias_of(const nm_gen *g, const nm_place *place)
{
    for (int i = 0; i < g->n_args && place; i++)
        if (g->arg[i].place && g->arg[i].place->buffer == place->buffer)
            return g->arg[i].alias;
    return g->n_args;
}

static int add_arg(nm_gen *g, nm_arg arg)
{
    for (int i = 0; i < g->n_args; i++)
        if (arg.place && g->arg[i].place && nm_same_place(g->arg[i].place, arg.place))
            return i;
    if (g->n_args == NM_MAX_ARGS)
        nm_bug("codegen: a kernel of more than %d arguments", NM_MAX_ARGS);
    arg.alias = alias_of(g, arg.place);
    g->arg[g->n_args] = arg;
    return g->n_args++;
}

// -1: the value is not stored.
static int arg_of(nm_gen *g, const nm_value *v)
{
    const nm_place *place = &g->plan->place[v->id];
    if (place->buffer < 0)
        return -1;
    return add_arg(g, (nm_arg){.place = place, .dtype = v->type->dtype});
}

static bool check_dtypes(nm_gen *g)
{
    for (const nm_op *op = g->group->body->first; op; op = op->next)
        for (int i = 0; i < op->n_out; i++)
            if (!nm_dtype_lowered(op->out[i].type->dtype))
                return nm_error(g->fn.m->diag, op->loc, "%s: kernels of %s are not lowered yet",
                                nm_info(op)->name, nm_dtype_table[op->out[i].type->dtype].name);
    return true;
}

bool nm_gen_init(nm_gen *g, nm_op *group, const nm_plan *plan)
{
    g->group = group;
    g->plan = plan;
    g->grain = 1;
    g->is_gpu = g->fn.m->options.flavour == NM_FLAVOUR_gpu;
    g->threads = 256;
    g->per_block = 2048;
    g->fn.own = &g->syms;
    nm_fn_serve(&g->fn, group->func);
    if (group->n_in + group->n_out > NM_MAX_ARGS)
        return nm_error(g->fn.m->diag, group->loc, "group: a kernel of more than %d arguments",
                        NM_MAX_ARGS);
    for (int i = 0; i < group->n_in; i++)
        g->param_arg[i] = arg_of(g, group->in[i]);
    for (int i = 0; i < group->n_out; i++)
        g->result_arg[i] = arg_of(g, &group->out[i]);
    return check_dtypes(g);
}

int nm_gen_workspace(nm_gen *g, const nm_extent *bytes)
{
    return add_arg(g, (nm_arg){.dtype = NM_i8, .workspace = bytes});
}

// The argument that is the table of the symbols that this kernel asks for.
static int syms_arg(nm_gen *g)
{
    for (int i = 0; i < g->n_args; i++)
        if (g->arg[i].syms)
            return i;
    return add_arg(g, (nm_arg){.dtype = NM_i64, .syms = true});
}

static LLVMValueRef invariant(nm_fn *f, LLVMValueRef load)
{
    LLVMMetadataRef none = LLVMMDNodeInContext2(f->ctx, NULL, 0);
    LLVMSetMetadata(load, LLVMGetMDKindIDInContext(f->ctx, "invariant.load", 14),
                    LLVMMetadataAsValue(f->ctx, none));
    return load;
}

LLVMValueRef nm_gen_pointer(nm_gen *g, int arg)
{
    if (g->pointer[arg])
        return g->pointer[arg];
    LLVMBasicBlockRef back = nm_fn_enter_entry(&g->fn);
    LLVMValueRef p = nm_fn_load(&g->fn, g->fn.ptr, g->argv, nm_fn_i64(&g->fn, arg));
    g->pointer[arg] = invariant(&g->fn, p);
    nm_fn_leave_entry(&g->fn, back);
    return p;
}

bool nm_extent_is_multiple(const nm_extent *e, int64_t n)
{
    for (int i = 0; i < e->n_terms; i++)
        if (e->term[i].factor % n)
            return false;
    return true;
}

bool nm_gen_is_aligned(nm_gen *g, int arg, int64_t n)
{
    const nm_place *place = g->arg[arg].place;
    if (!place || !nm_extent_is_multiple(place->start, n))
        return place == NULL;
    for (int i = 0; i < place->n_turns; i++)
        if (!nm_extent_is_multiple(place->turn[i].stride, n))
            return false;
    return true;
}

int nm_gen_number_arg(nm_gen *g, const nm_extent *e)
{
    for (int i = 0; i < g->n_args; i++)
        if (g->arg[i].number == e)
            return i;
    return add_arg(g, (nm_arg){.dtype = NM_i64, .number = e});
}

nm_number nm_gen_number_of(nm_gen *g, const nm_extent *e)
{
    nm_number n = {.arg = -1};
    if (!nm_extent_is_const(e, &n.value))
        n.arg = nm_gen_number_arg(g, e);
    return n;
}

LLVMValueRef nm_gen_number(nm_gen *g, const nm_extent *e)
{
    LLVMValueRef p = nm_gen_pointer(g, nm_gen_number_arg(g, e));
    LLVMBasicBlockRef back = nm_fn_enter_entry(&g->fn);
    LLVMValueRef v = LLVMBuildPtrToInt(g->fn.b, p, g->fn.i64, "");
    nm_fn_leave_entry(&g->fn, back);
    return v;
}

// --- functions -----------------------------------------------------------------------------------

static void forget(nm_gen *g)
{
    g->n_memo = g->n_index = 0;
    memset(g->pointer, 0, sizeof g->pointer);
    g->from = g->to = g->scratch = g->argv = g->lane = NULL;
    g->deal = (nm_deal){0};
    g->near = (nm_near){0};
}

static void mark(nm_gen *g, const char *name, LLVMValueRef fn)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(g->fn.ctx, kind, 0));
}

// --- kernels of the flavour gpu
// A body gets words {count, arguments}, its symbols and the number of its block; an entry that
// launches it by itself has one parameter, words {count, arguments, symbols, tensor maps}.

enum { ARGS_AT = 1, MAP_WORDS = 16 };

int nm_gen_words(const nm_gen *g, int n_maps)
{
    int words = ARGS_AT + g->n_args + NM_N_SYM_FIELDS * g->syms.n;
    return n_maps ? (words + MAP_WORDS - 1) / MAP_WORDS * MAP_WORDS + n_maps * MAP_WORDS : words;
}

// Where the tensor maps begin is not known before all arguments are.
LLVMValueRef nm_gen_maps(nm_gen *g)
{
    LLVMBasicBlockRef back = nm_fn_enter_entry(&g->fn);
    LLVMValueRef at = LLVMBuildFreeze(g->fn.b, LLVMGetUndef(g->fn.i64), "");
    LLVMValueRef maps = nm_fn_at(&g->fn, g->fn.i64, LLVMGetParam(g->fn.fn, 0), at);
    g->pending[g->n_pending++] = at;
    nm_fn_leave_entry(&g->fn, back);
    return maps;
}

static LLVMTypeRef body_type(nm_fn *f)
{
    LLVMTypeRef param[] = {f->ptr, f->ptr, f->i64};
    return LLVMFunctionType(f->nothing, param, 3, false);
}

static void write_entry(nm_gen *g, const char *name, LLVMValueRef body)
{
    nm_fn *f = &g->fn;
    LLVMValueRef fn = nm_fn_start(f, name, LLVMFunctionType(f->nothing, &f->ptr, 1, false));
    mark(g, "nounwind", fn);
    LLVMValueRef words = LLVMGetParam(fn, 0);
    LLVMValueRef syms = nm_fn_at(f, f->i64, words, nm_fn_i64(f, ARGS_AT + g->n_args));
    LLVMValueRef arg[] = {words, syms, nm_gen_call(g, "nmg_block", f->i64, 0, NULL)};
    LLVMBuildCall2(f->b, body_type(f), body, arg, 3, "");
    nm_fn_finish(f, NULL);
}

void nm_gen_settle(nm_gen *g)
{
    for (int i = 0; i < g->n_pending; i++) {
        LLVMReplaceAllUsesWith(g->pending[i], nm_fn_i64(&g->fn, nm_gen_words(g, 1) - MAP_WORDS));
        LLVMInstructionEraseFromParent(g->pending[i]);
    }
    g->n_pending = 0;
    for (int i = 0; i < g->n_bodies; i++)
        write_entry(g, nm_kernel_functions[i], g->body[i]);
}

static void begin_gpu_kernel(nm_gen *g, const char *name)
{
    nm_fn *f = &g->fn;
    LLVMValueRef fn = nm_fn_start(f, nm_arena_fmt(f->scratch, "%s_body", name), body_type(f));
    g->body[g->n_bodies++] = fn;
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    mark(g, "nounwind", fn);
    mark(g, "alwaysinline", fn);
    LLVMValueRef words = LLVMGetParam(fn, 0), block = LLVMGetParam(fn, 2);
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    g->argv = nm_fn_at(f, f->ptr, words, nm_fn_i64(f, ARGS_AT));
    f->sym = LLVMGetParam(fn, 1);
    LLVMValueRef count = invariant(f, nm_fn_load(f, f->i64, words, nm_fn_i64(f, 0)));
    g->lane = nm_gen_call(g, "nmg_lane", f->i64, 0, NULL);
    g->deal = (nm_deal){.lane = g->lane, .n = g->threads, .run = 1};
    g->from = nm_index_mul(g, block, nm_fn_i64(f, g->per_block));
    g->to = nm_fn_min(f, count, LLVMBuildAdd(f->b, g->from, nm_fn_i64(f, g->per_block), ""));
    nm_fn_leave_entry(f, back);
    syms_arg(g);
}

void nm_gen_begin_kernel(nm_gen *g, const char *name)
{
    nm_fn *f = &g->fn;
    forget(g);
    if (g->is_gpu) {
        begin_gpu_kernel(g, name);
        return;
    }
    LLVMTypeRef params[] = {f->ptr, f->ptr, f->i64, f->i64, f->ptr};
    LLVMValueRef fn = nm_fn_start(f, name, LLVMFunctionType(f->nothing, params, 5, false));
    mark(g, "nounwind", fn);
    g->argv = LLVMGetParam(fn, 1);
    f->sym = nm_gen_pointer(g, syms_arg(g));
    g->from = LLVMGetParam(fn, 2);
    g->to = LLVMGetParam(fn, 3);
    g->scratch = LLVMGetParam(fn, 4);
}

void nm_gen_begin_count(nm_gen *g)
{
    nm_fn *f = &g->fn;
    forget(g);
    LLVMTypeRef params[] = {f->ptr};
    LLVMValueRef fn = nm_fn_start(f, "count", LLVMFunctionType(f->i64, params, 1, false));
    mark(g, "nounwind", fn);
    f->sym = LLVMGetParam(fn, 0);
}

void nm_gen_end_count(nm_gen *g, LLVMValueRef count) { nm_fn_finish(&g->fn, count); }

static LLVMTypeRef env_type(nm_fn *f)
{
    LLVMTypeRef member[] = {f->ptr, f->ptr};
    return LLVMStructTypeInContext(f->ctx, member, 2, false);
}

// env is {sym, argv}: what a hook loads from them never changes, so the loads leave its loops.
LLVMValueRef nm_gen_env(nm_gen *g)
{
    nm_fn *f = &g->fn;
    LLVMValueRef env = nm_fn_slot(f, env_type(f));
    LLVMBuildStore(f->b, f->sym, LLVMBuildStructGEP2(f->b, env_type(f), env, 0, ""));
    LLVMBuildStore(f->b, g->argv, LLVMBuildStructGEP2(f->b, env_type(f), env, 1, ""));
    return env;
}

LLVMValueRef nm_gen_begin_hook(nm_gen *g, const char *name, LLVMTypeRef type)
{
    nm_fn *f = &g->fn;
    forget(g);
    LLVMValueRef fn = nm_fn_start(f, name, type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    mark(g, "nounwind", fn);
    mark(g, "alwaysinline", fn);
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    LLVMValueRef env = LLVMGetParam(fn, 0);
    LLVMValueRef sym = LLVMBuildStructGEP2(f->b, env_type(f), env, 0, "");
    LLVMValueRef argv = LLVMBuildStructGEP2(f->b, env_type(f), env, 1, "");
    f->sym = LLVMBuildLoad2(f->b, f->ptr, sym, "sym");
    g->argv = LLVMBuildLoad2(f->b, f->ptr, argv, "argv");
    nm_fn_leave_entry(f, back);
    return fn;
}

// A function of the templates, declared on first use.
LLVMValueRef nm_gen_call(nm_gen *g, const char *name, LLVMTypeRef result, int n, LLVMValueRef *arg)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[16];
    for (int i = 0; i < n; i++)
        param[i] = LLVMTypeOf(arg[i]);
    LLVMTypeRef type = LLVMFunctionType(result, param, (unsigned)n, false);
    LLVMValueRef fn = LLVMGetNamedFunction(f->mod, name);
    if (!fn) {
        fn = LLVMAddFunction(f->mod, name, type);
        mark(g, "nounwind", fn);
    }
    return LLVMBuildCall2(f->b, type, fn, arg, (unsigned)n, "");
}

// --- what has been written -----------------------------------------------------------------------

nm_scope nm_gen_open(nm_gen *g) { return (nm_scope){g->n_memo, g->n_index}; }

void nm_gen_close(nm_gen *g, nm_scope s)
{
    g->n_memo = s.n_memo;
    g->n_index = s.n_index;
}

void nm_gen_know(nm_gen *g, const nm_value *v, const nm_coords *c, LLVMValueRef element)
{
    if (g->n_memo == g->cap_memo) {
        int cap = g->cap_memo ? 2 * g->cap_memo : 64;
        nm_memo *grown = nm_new_n(g->fn.scratch, nm_memo, (size_t)cap);
        if (g->n_memo)
            memcpy(grown, g->memo, (size_t)g->n_memo * sizeof *grown);
        g->memo = grown;
        g->cap_memo = cap;
    }
    nm_memo *row = &g->memo[g->n_memo++];
    *row = (nm_memo){.value = v, .n = v->type->rank, .result = element};
    for (int i = 0; i < row->n; i++)
        row->at[i] = nm_coords_get(c, v->type->dim[i].name);
}
