// What a run begins with: the weights and states of a checkpoint, or their first values, or the
// weights of a foreign folder; and what belongs to these.
#include "runtime/agree.h"
#include "runtime/foreign/companions.h"
#include "runtime/foreign/import.h"
#include "runtime/trainer.h"

#include <string.h>

// Given otherwise, or of another binary, which cannot compute as the checkpoint's.
static void note_numbers(const nmrt_trainer *t)
{
    const nmdrv_program *p = t->program;
    if (t->gradients || !*t->at.precision)
        return;
    if (strcmp(p->precision, t->at.precision) != 0)
        fprintf(t->out->note, "note: --precision %s now, %s in the checkpoint\n", p->precision,
                t->at.precision);
    else if (*t->at.recipe && strcmp(p->recipe, t->at.recipe) != 0)
        fprintf(t->out->note, "note: --fp8-recipe %s now, %s in the checkpoint\n", p->recipe,
                t->at.recipe);
}

static void note_changes(const nmrt_trainer *t)
{
    if (strcmp(t->at.hash, t->program->hash) != 0)
        fprintf(t->out->note, "note: the checkpoint's program was compiled otherwise; its tensors "
                              "fit, bits may differ\n");
    fputs(t->o->notes.at ? t->o->notes.at : "", t->out->note);
    note_numbers(t);
    if (t->at.absent)
        fprintf(t->out->note,
                "note: the checkpoint, of --precision %s, has none of the %lld states that "
                "--precision %s alone has: they begin at 0\n",
                t->at.precision, (long long)t->at.absent, t->program->precision);
    if (t->at.left)
        fprintf(t->out->note,
                "note: %lld states that --precision %s alone has are left out, and will not be in "
                "what is saved\n",
                (long long)t->at.left, t->at.precision);
    if (t->at.begins_means)
        fprintf(t->out->note, "note: running means of weights begin as the checkpoint's weights "
                              "are: it has none, and this model's minimize has ema\n");
    if (t->at.drops_means)
        fprintf(t->out->note, "note: the checkpoint's running means of weights are left out, and "
                              "will not be in what is saved: this model's minimize has no ema\n");
}

// Over the first values of the parameters; the optimizer's states stay as they begin.
static nmrt_status load_foreign(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_text notes = {0};
    nmrt_import_request q = {.init = t->o->init, .seq = t->o->imports ? 0 : t->o->seq};
    nmrt_status status = nmrt_import_load(&q, &t->en, &notes, e);
    if (status == NMRT_OK)
        fprintf(t->out->text, "starting from %s\n", t->o->init);
    if (notes.n)
        fprintf(t->out->note, "%s", notes.at);
    nmrt_text_release(&notes);
    return status;
}

nmrt_status nmrt_train_begin(nmrt_trainer *t, nmrt_error *e)
{
    const char *resume = t->o->resume;
    bool automatic = strcmp(resume, "auto") == 0;
    if (strcmp(resume, "none") != 0) {
        nmrt_engine_start_own(&t->en); // of what the checkpoint may lack
        nmrt_status status = nmrt_checkpoint_load(automatic ? t->o->save : resume, &t->en,
                                                  NMRT_READ_WHOLE, &t->at, &t->passed, e);
        if (t->passed.n)
            fprintf(t->out->note, "%s", t->passed.at);
        NMRT_TRY(status);
        if (*t->at.path) {
            fprintf(t->out->text, "resuming from %s, saved by %s\n", t->at.path, t->at.mesh);
            note_changes(t);
            t->saved_step = automatic ? t->at.step : -1;
            return NMRT_OK;
        }
        if (!automatic)
            return nmrt_everyones(
                nmrt_fail(e, NMRT_WORLD, "--resume: there is no checkpoint in %s", resume), e);
        fprintf(t->out->text, "no checkpoint in %s yet: starting\n", t->o->save);
    }
    if (t->o->check_memory) {
        nmrt_engine_fill(&t->en, NMDRV_PARAM, NMRT_POISON);
        nmrt_engine_fill(&t->en, NMDRV_STATE, NMRT_POISON);
    }
    nmrt_engine_set(&t->en, "seed", (double)t->o->seed);
    nmrt_pipe_init(&t->pipe);
    nmrt_engine_start_own(&t->en);
    return t->o->init ? load_foreign(t, e) : NMRT_OK;
}

// A resumed run has its own beside the checkpoint, unless another is given now. Bytes need no file.
static bool takes_tokenizer(const nmrt_trainer *t)
{
    bool given = nmrt_option_given(t->o, nmrt_option_find("tokenizer"));
    return t->o->tokenizer && strcmp(t->o->tokenizer, "bytes") != 0 && (given || !*t->at.path);
}

static nmrt_status keep_companions(const nmrt_trainer *t, nmrt_error *e)
{
    char folder[NMRT_PATH], map[32];
    nmrt_companions c = {0};
    if (*t->at.path)
        c.from = nmrt_companions_find(t->at.path, folder) ? folder : NULL;
    else if (t->o->init) {
        c.from = nmrt_init_folder(t->o->init, map);
        c.imported = true;
    }
    if (takes_tokenizer(t))
        c.tokenizer = t->o->tokenizer;
    return nmrt_companions_save(t->o->save, &c, e);
}

nmrt_status nmrt_train_keep_companions(const nmrt_trainer *t, nmrt_error *e)
{
    return nmrt_agree(t->comm, t->o->save && !t->comm->rank ? keep_companions(t, e) : NMRT_OK, e);
}
