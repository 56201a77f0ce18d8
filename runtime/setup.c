// Sizes, the plan, will it fit.
#include "runtime/setup.h"

#include "runtime/cpu.h"

#include <stdio.h>
#include <string.h>

enum { MAX_MICRO_BATCHES = 1 << 16 };
static const int64_t MAX_TOKENS = INT32_MAX; // of a micro-batch: kernels count rows with 32 bits

static void collect(nmrt_error *e, const char *message)
{
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, "%s%s", n ? "\n" : "", message);
}

static nmrt_status check_sizes(const nmrt_setup *s, nmrt_error *e)
{
    nmrt_error one;
    e->text[0] = 0;
    if (s->micro_batch > MAX_TOKENS / s->seq)
        return nmrt_fail(
            e, NMRT_USAGE,
            "a micro-batch of %lld samples of %lld tokens is more than a program can index",
            (long long)s->micro_batch, (long long)s->seq);
    if (nmrt_sym_check(s->program, "batch", s->micro_batch, &one) != NMRT_OK)
        collect(e, one.text);
    if (nmrt_sym_check(s->program, "seq", s->seq, &one) != NMRT_OK)
        collect(e, one.text);
    return e->text[0] ? NMRT_USAGE : NMRT_OK;
}

static nmrt_status add_schedules(nmrt_setup *s, nmrt_error *e)
{
    const nmrt_hypers *h = &s->options->hypers;
    for (int i = 0; i < h->program->n_hypers; i++) {
        const nmdrv_func *f = nmrt_schedule_of(h, i);
        bool known = !f;
        for (int k = 0; k < s->plan.n_funcs && !known; k++)
            known = s->plan.func[k].func == f;
        if (!known)
            NMRT_TRY(nmrt_plan_add(&s->plan, f, s->syms.at, e));
    }
    return NMRT_OK;
}

static nmrt_status add_roles(nmrt_setup *s, const nmdrv_role *role, int n, nmrt_error *e)
{
    for (int i = 0; i < n; i++)
        NMRT_TRY(nmrt_plan_add_role(&s->plan, role[i], s->syms.at, e));
    return NMRT_OK;
}

static nmrt_status make_plan(nmrt_setup *s, nmrt_error *e)
{
    static const nmdrv_role train[] = {NMDRV_INIT, NMDRV_COUNT, NMDRV_MICRO, NMDRV_FINISH},
                            eval[] = {NMDRV_EVAL_MICRO, NMDRV_EVAL_FINISH};
    const nmrt_options *o = s->options;
    nmrt_sizes sizes = {s->micro_batch, s->micro_batch * s->n_micro, s->seq, s->seq};
    s->plan = (nmrt_plan){.program = s->program, .apart = o->check_memory};
    NMRT_TRY(nmrt_syms_bind(&s->syms, s->program, &sizes, e));
    if (o->verb == NMRT_TRAIN) {
        NMRT_TRY(add_roles(s, train, 4, e));
        NMRT_TRY(add_schedules(s, e));
    }
    if (o->verb == NMRT_EVAL || o->eval_data)
        NMRT_TRY(add_roles(s, eval, 2, e));
    nmrt_plan_finish(&s->plan, s->threads);
    return NMRT_OK;
}

nmrt_status nmrt_setup_init(nmrt_setup *s, const nmdrv_program *program, const nmrt_options *o,
                            nmrt_error *e)
{
    *s = (nmrt_setup){.program = program, .options = o, .device = nmrt_device_find(o->device)};
    s->threads = o->threads ? (int)o->threads : nmrt_cpu_threads();
    s->seq = o->seq;
    s->micro_batch = o->micro_batch;
    s->n_micro = o->verb == NMRT_TRAIN ? o->global_batch / o->micro_batch : 1;
    NMRT_TRY(check_sizes(s, e));
    nmrt_status status = make_plan(s, e);
    if (status != NMRT_OK)
        nmrt_setup_release(s);
    return status;
}

void nmrt_setup_release(nmrt_setup *s) { nmrt_plan_release(&s->plan); }

// The largest micro-batch below the one asked for that divides the step's samples and fits; 0:
// none.
static int64_t largest_fitting(const nmrt_setup *s, int64_t memory)
{
    nmrt_error e;
    int64_t total = s->micro_batch * s->n_micro;
    for (int64_t n = s->n_micro + 1; n <= total && n <= MAX_MICRO_BATCHES; n++) {
        nmrt_setup smaller = *s;
        smaller.micro_batch = total / n;
        smaller.n_micro = n;
        if (total % n || nmrt_sym_check(s->program, "batch", smaller.micro_batch, &e) != NMRT_OK)
            continue;
        bool fits = make_plan(&smaller, &e) == NMRT_OK && smaller.plan.total <= memory;
        nmrt_setup_release(&smaller);
        if (fits)
            return smaller.micro_batch;
    }
    return 0;
}

nmrt_status nmrt_memory_check(const nmrt_plan *plan, const nmrt_device_ops *device,
                              const char *hint, nmrt_error *e)
{
    nmrt_memory_info m = device->memory_info();
    if (!m.available || plan->total <= m.available)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE,
                     "the run needs %s (%lld bytes) and %s of the machine's %s are free; %s",
                     nmrt_bytes(plan->total).s, (long long)plan->total, nmrt_bytes(m.available).s,
                     nmrt_bytes(m.total).s, hint);
}

nmrt_status nmrt_setup_check_memory(const nmrt_setup *s, nmrt_error *e)
{
    char hint[96] = "no --micro-batch would fit; try a smaller --seq or a smaller model";
    nmrt_memory_info m = s->device->memory_info();
    int64_t fitting =
        m.available && s->plan.total > m.available ? largest_fitting(s, m.available) : 0;
    if (fitting)
        snprintf(hint, sizeof hint, "--micro-batch %lld would fit", (long long)fitting);
    return nmrt_memory_check(&s->plan, s->device, hint, e);
}

void nmrt_setup_print(const nmrt_setup *s, nmrt_text *out)
{
    nmrt_memory_info m = s->device->memory_info();
    nmrt_text_add(
        out, "%s%s%s: micro-batch %lld, %lld micro-batch%s a step, seq %lld, %d thread%s on %s\n\n",
        s->program->name, *s->program->preset ? " " : "", s->program->preset,
        (long long)s->micro_batch, (long long)s->n_micro, s->n_micro == 1 ? "" : "es",
        (long long)s->seq, s->threads, s->threads == 1 ? "" : "s", s->device->name);
    nmrt_plan_print(&s->plan, out);
    nmrt_text_add(out, "\n  %-18s %20lld  %10s\n  %-18s %20lld  %10s\n", "machine",
                  (long long)m.total, nmrt_bytes(m.total).s, "free now", (long long)m.available,
                  nmrt_bytes(m.available).s);
}
