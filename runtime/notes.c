// Notes of flags: what one rank has not, what a library cannot.
#include "runtime/notes.h"

#include "runtime/data_flags.h"
#include "runtime/islands.h"
#include "runtime/mesh_check.h"
#include "runtime/source.h"
#include "runtime/texts.h"

#include <string.h>

// The value that the flag has now, where it was given and is not the default's.
static bool is_set(const nmrt_options *o, const char *flag, nmrt_text *value)
{
    const nmrt_option *option = nmrt_option_find(flag);
    nmrt_option_print(o, option, value);
    return nmrt_option_given(o, option) && !value->failed && strcmp(value->at, option->def) != 0;
}

static void note_idle(const nmrt_run *run, const char *flag, const char *why)
{
    nmrt_text value = {0};
    if (is_set(run->options, flag, &value))
        fprintf(run->out->note, "note: --%s %s changes nothing: %s\n", flag, value.at, why);
    nmrt_text_release(&value);
}

// Does the text split tokens over tp otherwise than --sp says? Then they have no second home there.
static bool ignores_sp(const nmrt_run *run)
{
    const nmrt_mesh *m = &run->mesh;
    return m->mode >= 0 && (m->program->mode[m->mode].sp != 0) != (run->options->sp != 0);
}

// --zero splits along dims that only what is kept has on its axes: none divides.
static void note_whole_store(const nmrt_run *run)
{
    const nmrt_mesh *m = &run->mesh;
    const int64_t stores = 1 << NMDRV_DPS | 1 << NMDRV_DPP;
    for (int64_t i = 0; i < m->program->n_syms; i++) {
        const nmdrv_sym_info *s = &m->program->sym[i];
        if (!nmrt_sym_is_local(s) || !(nmrt_sym_axes(s) & stores) || s->of_sym >= 0)
            continue;
        nmrt_text why = {0};
        nmrt_text_add(&why, "it splits %s = %lld (%s), which dp does not divide", s->of,
                      (long long)s->extent, s->where);
        if (!why.failed)
            note_idle(run, "zero", why.at);
        nmrt_text_release(&why);
        return;
    }
}

static void note_gpu_flags(const nmrt_run *run)
{
    static const char why[] = "it is for GPUs";
    note_idle(run, "collectives", why);
    note_idle(run, "graphs", why);
    if (run->options->tf32)
        fprintf(run->out->note, "note: --tf32 changes nothing: %s\n", why);
    if (run->options->tune_products)
        fprintf(run->out->note, "note: --tune-products changes nothing: %s\n", why);
}

// Only a GPU's library sums in fewer bits, and only where the program lets it.
static void note_fast_accum(const nmrt_run *run)
{
    const nmdrv_program *p = run->program;
    bool any = false;
    for (int64_t i = 0; i < p->n_products; i++)
        any |= p->product[i].fast != 0;
    if (run->device == &nmrt_device_emu)
        note_idle(run, "fp8-fast-accum", "the emulator sums in f32");
    else if (run->device == &nmrt_device_host)
        note_idle(run, "fp8-fast-accum", "it is for GPUs");
    else if (!any)
        note_idle(run, "fp8-fast-accum", "this program has no product that sums in fewer bits");
}

static void note_fp8_flags(const nmrt_run *run)
{
    bool fp8 = *run->program->recipe != 0;
    nmrt_text why = {0};
    if (fp8)
        nmrt_text_add(&why, "no row pp of the model's mesh lists layers with products in fp8");
    else
        nmrt_text_add(&why, "it is of --precision fp8, and this run computes in %s",
                      run->program->precision);
    if (fp8)
        note_fast_accum(run);
    if (!fp8 && !why.failed) {
        note_idle(run, "fp8-recipe", why.at);
        note_idle(run, "fp8-fast-accum", why.at);
    }
    if (!nmrt_islands_any(run->program) && !why.failed) {
        note_idle(run, "num-layers-at-start-in-bf16", why.at);
        note_idle(run, "num-layers-at-end-in-bf16", why.at);
    }
    nmrt_text_release(&why);
}

// Turns of several layers: what they round has no history.
static const char *turns_without_history(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].turns >= 0 && p->sym[p->func[i].turns].each)
            return p->sym[p->func[i].turns].of;
    return NULL;
}

// Where the recipe delayed scales as current does.
static void note_delayed(const nmrt_run *run)
{
    if (strcmp(run->program->recipe, "delayed") != 0)
        return;
    const char *turns = turns_without_history(run->program);
    if (run->options->verb != NMRT_TRAIN)
        fprintf(run->out->note, "note: --fp8-recipe delayed is of training: this scales by what it "
                                "reads, as current does\n");
    else if (turns)
        fprintf(run->out->note,
                "note: --fp8-recipe delayed: turns of %.*s are of several layers, which scale by "
                "what they read, as current does\n",
                nmrt_stem(turns), turns);
}

// Without a text that takes what is rounded of weights, there is nothing to keep or not.
static void note_kept_weights(const nmrt_run *run)
{
    const nmdrv_program *p = run->program;
    nmrt_text why = {0};
    if (nmrt_texts_may_keep(p))
        return;
    nmrt_text_add(&why, "this program, in %s, rounds no weights in micro-batches", p->precision);
    if (!why.failed)
        note_idle(run, "keep-rounded-weights", why.at);
    nmrt_text_release(&why);
}

void nmrt_note_program_flags(const nmrt_run *run)
{
    note_fp8_flags(run);
    note_kept_weights(run);
    note_delayed(run);
    if (!nmrt_recompute_any(run->program))
        note_idle(run, "recompute",
                  "this program has no layers to choose for; a repeat of the model over a dim that "
                  "its mesh's row pp lists would have");
    if (run->device == &nmrt_device_host)
        note_gpu_flags(run);
}

// Of a run that saves, it is kept for generate; it may also say what ends a document.
static void note_tokenizer(const nmrt_run *run)
{
    const nmrt_options *o = run->options;
    bool reads_text = !o->data || nmrt_source_is_text(o->data) ||
                      (o->eval_data && nmrt_source_is_text(o->eval_data));
    if (!reads_text && !o->save && !nmrt_data_tells_documents(o))
        note_idle(run, "tokenizer", "a corpus is made of tokens already");
}

void nmrt_note_idle_flags(const nmrt_run *run)
{
    const nmrt_mesh *m = &run->mesh;
    bool has_tp = nmrt_mesh_ranks(m, NMRT_TP_AXES) > 1;
    note_tokenizer(run);
    if (run->options->dry_run)
        note_idle(run, "trace", "a dry run does no step");
    if (m->world == 1)
        note_idle(run, "comm", "one rank talks to nobody");
    if (m->size[NMDRV_PP] == 1)
        note_idle(run, "vp", "--pp is 1");
    if (nmrt_mesh_dp(m) == 1)
        note_idle(run, "zero", "dp is 1");
    else if (m->zero && m->size[NMDRV_DPS] * m->size[NMDRV_DPP] == 1)
        note_whole_store(run);
    nmrt_note_program_flags(run);
    if (run->device != &nmrt_device_host && m->world == 1)
        note_idle(run, "collectives", "one rank talks to nobody");
    if (!has_tp)
        note_idle(run, "sp", "--tp is 1");
    else if (ignores_sp(run))
        note_idle(run, "sp", "no dim of tokens is in the mesh's row tp");
    if (nmrt_mesh_cp(m) == 1) {
        note_idle(run, "cp-comm", "--cp is 1");
        note_idle(run, "cp-balance", "--cp is 1");
    }
}

static bool overlaps(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_collectives; i++)
        if (p->collective[i].async)
            return true;
    return false;
}

void nmrt_note_one_thread(const nmrt_run *run)
{
    if (run->comm.one_thread && !run->comm.rank && overlaps(run->program))
        fprintf(run->out->note,
                "note: this library of --comm %s is for one thread: nothing is "
                "computed while collectives are under way\n",
                run->comm.name);
}
