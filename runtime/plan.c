// The memory plan: slots for what functions share, one arena for what they do not.
#include "runtime/plan.h"

#include "runtime/device.h"
#include "runtime/syms.h"
#include "runtime/texts.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static int64_t align(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static nmrt_status no_memory(nmrt_error *e)
{
    return nmrt_fail(e, NMRT_WORLD, "no memory for the memory plan");
}

static bool is_eval(const nmdrv_func *f)
{
    return f->role == NMDRV_EVAL_MICRO || f->role == NMDRV_EVAL_FINISH;
}

static bool is_micro(const nmdrv_func *f)
{
    return f->role == NMDRV_MICRO || f->role == NMDRV_EVAL_MICRO;
}

static int find_slot(const nmrt_plan *plan, int64_t bind, const char *name, bool eval)
{
    for (int i = 0; i < plan->n_slots; i++) {
        const nmrt_slot *s = &plan->slot[i];
        if (s->bind == bind && s->eval == eval && strcmp(s->name, name) == 0)
            return i;
    }
    return -1;
}

static nmrt_status bind_buffer(nmrt_plan *plan, nmrt_planned *p, const nmdrv_arg *arg,
                               nmrt_error *e)
{
    bool eval = is_eval(p->func) && (arg->bind == NMDRV_ACC || arg->bind == NMDRV_LINK);
    if (arg->bind == NMDRV_LINK && is_micro(p->func)) {
        p->slot[arg->buf] = NMRT_LINK;
        return NMRT_OK;
    }
    int i = find_slot(plan, arg->bind, arg->name, eval);
    if (i < 0) {
        nmrt_slot *slot = realloc(plan->slot, (size_t)(plan->n_slots + 1) * sizeof *slot);
        if (!slot)
            return no_memory(e);
        plan->slot = slot;
        i = plan->n_slots++;
        slot[i] = (nmrt_slot){.bind = arg->bind, .name = arg->name, .eval = eval, .arg = arg};
    }
    nmrt_slot *s = &plan->slot[i];
    if (s->arg->dtype != arg->dtype)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s has two dtypes (in %s)",
                         arg->name, p->func->name);
    if (p->slot[arg->buf] >= 0 && p->slot[arg->buf] != i) {
        // one value under two names (two emits of it): the first name owns the memory
        if (arg->bind != NMDRV_EMIT && arg->bind != NMDRV_OUT)
            return nmrt_fail(e, NMRT_CORRUPT,
                             "the program is inconsistent: %s and %s share a buffer in %s",
                             arg->name, plan->slot[p->slot[arg->buf]].name, p->func->name);
        return NMRT_OK;
    }
    p->slot[arg->buf] = i;
    return NMRT_OK;
}

static nmrt_status other_size(const nmrt_slot *s, const nmrt_planned *p, const nmdrv_arg *arg,
                              int64_t bytes, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_CORRUPT,
                     "the program is inconsistent: %s has %lld bytes in %s, elsewhere %lld",
                     arg->name, (long long)bytes, p->func->name, (long long)s->bytes);
}

// A function has the rows of its units, of all that this rank has; other units have others.
static nmrt_status size_rows(nmrt_slot *s, const nmrt_planned *p, const nmdrv_arg *arg,
                             int64_t bytes, const nmrt_turns *turns, nmrt_error *e)
{
    uint64_t units = (uint64_t)p->func->units;
    int64_t row = bytes / (turns->all * turns->each);
    if (s->units && (s->row_bytes != row || (s->units == units && s->bytes != bytes)))
        return other_size(s, p, arg, bytes, e);
    if (!(s->units & ~units))
        s->bytes = bytes;
    else if (!(s->units & units))
        s->bytes += bytes;
    s->row_bytes = row;
    s->units |= units;
    return NMRT_OK;
}

// `bytes` are those of all turns of this rank. Data is loaded as each function wants it; everything
// else has one form, so one size.
static nmrt_status size_slot(nmrt_plan *plan, nmrt_planned *p, const nmdrv_arg *arg,
                             const int64_t *bytes, const nmrt_turns *turns, nmrt_error *e)
{
    if (p->slot[arg->buf] < 0)
        return NMRT_OK;
    nmrt_slot *s = &plan->slot[p->slot[arg->buf]];
    bool kept = arg->bind == NMDRV_PARAM || arg->bind == NMDRV_STATE || arg->bind == NMDRV_ACC ||
                arg->bind == NMDRV_KEPT;
    if (arg->chunked && p->func->turns >= 0)
        return size_rows(s, p, arg, bytes[arg->buf], turns, e);
    if (kept && s->bytes && s->bytes != bytes[arg->buf])
        return other_size(s, p, arg, bytes[arg->buf], e);
    s->bytes = bytes[arg->buf] > s->bytes ? bytes[arg->buf] : s->bytes;
    return NMRT_OK;
}

static int64_t most_alive(const nmdrv_func *f, const int64_t *bytes)
{
    int64_t most = 0;
    for (int64_t i = 0; i < f->n_bufs; i++) { // the peak is at some buffer's first position
        int64_t now = 0;
        for (int64_t k = 0; f->buf[i].cls == NMDRV_BUF_TRANSIENT && k < f->n_bufs; k++)
            if (f->buf[k].cls == NMDRV_BUF_TRANSIENT && f->buf[k].first <= f->buf[i].first &&
                f->buf[k].last >= f->buf[i].first)
                now += align(bytes[k]);
        most = now > most ? now : most;
    }
    return most;
}

static nmrt_status pack_transients(nmrt_planned *p, bool apart, nmrt_error *e)
{
    const nmdrv_func *f = p->func;
    int64_t *table = calloc((size_t)(4 * f->n_bufs + 1), sizeof *table), n = 0;
    if (!table)
        return no_memory(e);
    int64_t *bytes = table, *first = bytes + f->n_bufs, *last = first + f->n_bufs,
            *offset = last + f->n_bufs;
    for (int64_t i = 0; i < f->n_bufs; i++)
        if (f->buf[i].cls == NMDRV_BUF_TRANSIENT) {
            bytes[n] = p->bytes[i];
            first[n] = apart ? 0 : f->buf[i].first;
            last[n++] = apart ? INT64_MAX : f->buf[i].last;
        }
    p->arena = nmrt_pack(n, bytes, first, last, offset);
    p->live = most_alive(f, p->bytes);
    n = 0;
    for (int64_t i = 0; i < f->n_bufs; i++)
        if (f->buf[i].cls == NMDRV_BUF_TRANSIENT)
            p->offset[i] = offset[n++];
    free(table);
    return p->arena < 0 ? no_memory(e) : NMRT_OK;
}

static nmrt_status bind_all(nmrt_plan *plan, nmrt_planned *p, nmrt_error *e)
{
    const nmdrv_func *f = p->func;
    for (int64_t i = 0; i < f->n_args; i++)
        NMRT_TRY(bind_buffer(plan, p, &f->arg[i], e));
    for (int64_t i = 0; i < f->n_results; i++)
        NMRT_TRY(bind_buffer(plan, p, &f->result[i], e));
    for (int64_t i = 0; i < f->n_bufs; i++)
        if (f->buf[i].cls == NMDRV_BUF_BOUND && p->slot[i] == NMRT_TRANSIENT)
            return nmrt_fail(e, NMRT_CORRUPT,
                             "the program is inconsistent: nothing is bound to buffer %d of %s",
                             (int)i, f->name);
    return NMRT_OK;
}

static nmrt_status ask_sizes(const nmrt_plan *plan, const nmdrv_func *f, const nmdrv_sym *sym,
                             int64_t turns, int64_t *bytes, nmrt_error *e)
{
    nmdrv_sym at[NMRT_MAX_SYMS];
    memcpy(at, sym,
           (size_t)plan->program->n_syms * sizeof *at); // no more than that: nmrt_syms_bind
    if (f->turns >= 0)
        at[f->turns].size = turns;
    f->sizes(at, bytes);
    for (int64_t i = 0; i < f->n_bufs; i++)
        if (bytes[i] < 0)
            return nmrt_fail(e, NMRT_USAGE, "%s of %s is too large to count its bytes (%s)",
                             f->buf[i].name, f->name, f->buf[i].where);
    return NMRT_OK;
}

static nmrt_status size_all(nmrt_plan *plan, nmrt_planned *p, const nmdrv_sym *sym,
                            const nmrt_turns *turns, nmrt_error *e)
{
    const nmdrv_func *f = p->func; // offset is free until transients are packed
    NMRT_TRY(ask_sizes(plan, f, sym, turns ? turns->all : 0, p->offset, e));
    for (int64_t i = 0; i < f->n_args; i++)
        NMRT_TRY(size_slot(plan, p, &f->arg[i], p->offset, turns, e));
    for (int64_t i = 0; i < f->n_results; i++)
        NMRT_TRY(size_slot(plan, p, &f->result[i], p->offset, turns, e));
    return ask_sizes(plan, f, sym, turns ? turns->chunk : 0, p->bytes, e);
}

nmrt_status nmrt_plan_add(nmrt_plan *plan, const nmdrv_func *func, const nmdrv_sym *sym,
                          const nmrt_turns *turns, nmrt_error *e)
{
    nmrt_planned *all = realloc(plan->func, (size_t)(plan->n_funcs + 1) * sizeof *all);
    if (!all)
        return no_memory(e);
    plan->func = all;
    nmrt_planned *p = &all[plan->n_funcs++];
    size_t n = (size_t)func->n_bufs + 1;
    *p = (nmrt_planned){
        func, calloc(n, sizeof(int64_t)), calloc(n, sizeof(int64_t)), calloc(n, sizeof(int)), 0, 0};
    if (!p->bytes || !p->offset || !p->slot)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        p->slot[i] = NMRT_TRANSIENT;
    NMRT_TRY(bind_all(plan, p, e));
    NMRT_TRY(size_all(plan, p, sym, turns, e));
    return pack_transients(p, plan->apart, e);
}

static nmrt_mem class_of(const nmrt_slot *s)
{
    switch (s->bind) {
    case NMDRV_PARAM: return NMRT_MEM_PARAMS;
    case NMDRV_STATE: return NMRT_MEM_STATES;
    case NMDRV_ACC: return nmrt_complete_name(s->name) ? NMRT_MEM_PENDING : NMRT_MEM_GRADS;
    case NMDRV_CNT: return NMRT_MEM_GRADS;
    case NMDRV_CACHE: return NMRT_MEM_CACHES;
    case NMDRV_KEPT: return NMRT_MEM_KEPT;
    case NMDRV_DATA: return NMRT_MEM_DATA;
    default: return NMRT_MEM_WORKSPACE; // scalars, emits, outs
    }
}

// Of a pending accumulator: the complete one, if its memory will do (nmdrv_sums); else NULL.
static const nmrt_slot *complete_slot(const nmrt_plan *plan, const nmrt_slot *s)
{
    const char *name = s->bind == NMDRV_ACC ? nmrt_complete_name(s->name) : NULL;
    int i = name ? find_slot(plan, NMDRV_ACC, name, s->eval) : -1;
    return i >= 0 && plan->slot[i].bytes == s->bytes ? &plan->slot[i] : NULL;
}

static int64_t products_room(const nmdrv_program *p)
{
    return p->flavour == NMDRV_GPU && p->n_products ? NMRT_PRODUCT_ROOM : 0;
}

void nmrt_plan_finish(nmrt_plan *plan, int threads)
{
    plan->slots = plan->arena = plan->total = 0;
    memset(plan->class, 0, sizeof plan->class);
    for (int i = 0; i < plan->n_slots; i++) {
        nmrt_slot *s = &plan->slot[i];
        if (complete_slot(plan, s))
            continue;
        s->offset = plan->slots;
        plan->slots += align(s->bytes);
        plan->class[class_of(s)] += align(s->bytes);
    }
    for (int i = 0; i < plan->n_slots; i++) {
        const nmrt_slot *complete = complete_slot(plan, &plan->slot[i]);
        if (complete)
            plan->slot[i].offset = complete->offset;
    }
    for (int i = 0; i < plan->n_funcs; i++)
        if (plan->func[i].arena > plan->arena)
            plan->arena = plan->func[i].arena;
    plan->class[NMRT_MEM_SAVED] = plan->links;
    plan->class[NMRT_MEM_COPY] = plan->copy;
    plan->class[NMRT_MEM_ACTIVATIONS] = plan->arena;
    plan->class[NMRT_MEM_WORKSPACE] += align(plan->program->scratch) * threads;
    plan->class[NMRT_MEM_WORKSPACE] += products_room(plan->program);
    plan->class[NMRT_MEM_COLLECTIVES] = plan->collectives;
    plan->library = products_room(plan->program) + plan->collectives;
    for (int i = 0; i < NMRT_N_MEM; i++)
        plan->total += plan->class[i];
}

void nmrt_plan_release(nmrt_plan *plan)
{
    for (int i = 0; i < plan->n_funcs; i++) {
        free(plan->func[i].bytes);
        free(plan->func[i].offset);
        free(plan->func[i].slot);
    }
    free(plan->func);
    free(plan->slot);
    free(plan->meets);
    *plan = (nmrt_plan){.program = plan->program, .apart = plan->apart};
}

const nmrt_planned *nmrt_plan_func(const nmrt_plan *plan, nmdrv_role role, nmdrv_phase phase)
{
    for (int i = 0; i < plan->n_funcs; i++) {
        const nmdrv_func *f = plan->func[i].func;
        if (f->role == role && (f->phase == phase || f->phase == NMDRV_WHOLE))
            return &plan->func[i];
    }
    return NULL;
}

const nmrt_planned *nmrt_plan_find(const nmrt_plan *plan, const nmdrv_func *func)
{
    for (int i = 0; i < plan->n_funcs; i++)
        if (plan->func[i].func == func)
            return &plan->func[i];
    return NULL;
}

const nmrt_slot *nmrt_plan_slot(const nmrt_plan *plan, nmdrv_bind bind, const char *name)
{
    int i = find_slot(plan, bind, name, false);
    return i < 0 ? NULL : &plan->slot[i];
}

static void print_row(nmrt_text *out, const char *what, int64_t bytes)
{
    nmrt_text_add(out, "  %-18s %20lld  %10s\n", what, (long long)bytes, nmrt_bytes(bytes).s);
}

// The buffers that set the arena's size: what a user can make smaller.
static void print_largest(const nmrt_plan *plan, nmrt_text *out)
{
    const nmrt_planned *p = NULL;
    for (int i = 0; i < plan->n_funcs; i++)
        if (!p || plan->func[i].arena > p->arena)
            p = &plan->func[i];
    if (!p || !p->arena)
        return;
    nmrt_text_add(out, "\nlargest activations, in %s (%s live at once, packed into %s):\n",
                  p->func->name, nmrt_bytes(p->live).s, nmrt_bytes(p->arena).s);
    int64_t below = INT64_MAX, last = -1;
    for (int row = 0; row < 5; row++) {
        int64_t best = -1;
        for (int64_t i = 0; i < p->func->n_bufs; i++) {
            bool after = p->bytes[i] < below || (p->bytes[i] == below && i > last);
            if (p->func->buf[i].cls == NMDRV_BUF_TRANSIENT && after &&
                (best < 0 || p->bytes[i] > p->bytes[best]))
                best = i;
        }
        if (best < 0)
            break;
        const nmdrv_buf *b = &p->func->buf[best];
        nmrt_text_add(out, "  %-18s %20lld  %10s  %s\n", *b->name ? b->name : "-",
                      (long long)p->bytes[best], nmrt_bytes(p->bytes[best]).s, b->where);
        below = p->bytes[best];
        last = best;
    }
}

// Not in every program or verb: no row where there is none.
static bool is_rare(int class)
{
    return class == NMRT_MEM_PENDING || class == NMRT_MEM_KEPT || class == NMRT_MEM_CACHES ||
           class == NMRT_MEM_SAVED || class == NMRT_MEM_COPY || class == NMRT_MEM_COLLECTIVES;
}

void nmrt_plan_print(const nmrt_plan *plan, nmrt_text *out)
{
    static const char *const name[NMRT_N_MEM] = {
        [NMRT_MEM_PARAMS] = "parameters",
        [NMRT_MEM_STATES] = "optimizer state",
        [NMRT_MEM_GRADS] = "gradients",
        [NMRT_MEM_PENDING] = "gradients, pending",
        [NMRT_MEM_KEPT] = "weights, rounded",
        [NMRT_MEM_CACHES] = "caches",
        [NMRT_MEM_SAVED] = "saved activations",
        [NMRT_MEM_ACTIVATIONS] = "activations",
        [NMRT_MEM_DATA] = "data",
        [NMRT_MEM_COPY] = "checkpoint copy",
        [NMRT_MEM_WORKSPACE] = "workspace",
        [NMRT_MEM_COLLECTIVES] = "collectives",
    };
    nmrt_text_add(out, "memory, in bytes:\n");
    for (int i = 0; i < NMRT_N_MEM; i++)
        if (!is_rare(i) || plan->class[i])
            print_row(out, name[i], plan->class[i]);
    print_row(out, "total", plan->total);
    print_largest(plan, out);
}
