// Weights of a checkpoint or of a foreign folder.
#include "runtime/weights.h"

#include "runtime/foreign/import.h"

#include <string.h>

static nmrt_status load_foreign(const nmrt_options *o, nmrt_engine *en, nmrt_text *notes,
                                nmrt_checkpoint *c, nmrt_error *e)
{
    *c = (nmrt_checkpoint){0};
    snprintf(c->path, sizeof c->path, "%s", o->init);
    bool samples = o->verb == NMRT_EVAL; // generate has none, and its seq is the default
    nmrt_import_request q = {.init = o->init, .whole = true, .seq = samples ? o->seq : 0};
    return nmrt_import_load(&q, en, notes, e);
}

nmrt_reading nmrt_weights_reading(const nmrt_options *o)
{
    return strcmp(o->weights, "ema") == 0 ? NMRT_READ_MEANS : NMRT_READ_PLAN;
}

static nmrt_status load_checkpoint(const nmrt_options *o, nmrt_engine *en, nmrt_text *notes,
                                   nmrt_checkpoint *c, nmrt_error *e)
{
    const char *path = o->checkpoint;
    NMRT_TRY(nmrt_checkpoint_load(path, en, nmrt_weights_reading(o), c, notes, e));
    if (*c->path)
        return NMRT_OK;
    return nmrt_everyones(nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", path), e);
}

nmrt_status nmrt_weights_load(const nmrt_options *o, nmrt_engine *en, const nmrt_output *out,
                              nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_text notes = {0};
    nmrt_status status =
        o->init ? load_foreign(o, en, &notes, c, e) : load_checkpoint(o, en, &notes, c, e);
    if (notes.n)
        fprintf(out->note, "%s", notes.at);
    nmrt_text_release(&notes);
    return status;
}
