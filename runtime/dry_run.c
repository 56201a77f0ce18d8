// The answer to --dry-run: what a run on this mesh needs, from the program's tables alone.
#include "runtime/setup.h"

static void print_head(const nmrt_setup *s, nmrt_text *out)
{
    nmrt_text_add(
        out, "%s%s%s: micro-batch %lld, %lld micro-batch%s a step, seq %lld, %d thread%s on %s\n",
        s->program->name, *s->program->preset ? " " : "", s->program->preset,
        (long long)s->micro_batch, (long long)s->n_micro, s->n_micro == 1 ? "" : "es",
        (long long)s->seq, s->threads, s->threads == 1 ? "" : "s", s->device->name);
    if (s->mesh.world == 1)
        return;
    nmrt_text_add(out, "%lld ranks: ", (long long)s->mesh.world);
    nmrt_mesh_print(&s->mesh, out);
    nmrt_text_add(out, "; %lld samples a step\n", (long long)(s->samples * s->n_micro));
}

static void print_machine(const nmrt_setup *s, nmrt_text *out)
{
    nmrt_memory_info m = s->device->memory_info();
    nmrt_text_add(out, "\n  %-18s %20lld  %10s\n  %-18s %20lld  %10s\n", "machine",
                  (long long)m.total, nmrt_bytes(m.total).s, "free now", (long long)m.available,
                  nmrt_bytes(m.available).s);
}

nmrt_status nmrt_setup_print(const nmrt_setup *s, nmrt_text *out, nmrt_error *e)
{
    (void)e;
    print_head(s, out);
    nmrt_text_add(out, "\n");
    nmrt_plan_print(&s->plan, out);
    print_machine(s, out);
    return NMRT_OK;
}
