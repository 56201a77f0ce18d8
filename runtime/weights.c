// Weights of a checkpoint or of a foreign folder.
#include "runtime/weights.h"

#include "runtime/foreign/import.h"

static nmrt_status load_foreign(const char *init, nmrt_engine *en, nmrt_text *notes,
                                nmrt_checkpoint *c, nmrt_error *e)
{
    *c = (nmrt_checkpoint){0};
    snprintf(c->path, sizeof c->path, "%s", init);
    return nmrt_import_load(&(nmrt_import_request){.init = init, .whole = true}, en, notes, e);
}

static nmrt_status load_checkpoint(const char *path, nmrt_engine *en, nmrt_text *notes,
                                   nmrt_checkpoint *c, nmrt_error *e)
{
    NMRT_TRY(nmrt_checkpoint_load(path, en, false, c, notes, e));
    if (*c->path)
        return NMRT_OK;
    return nmrt_everyones(nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", path), e);
}

nmrt_status nmrt_weights_load(const nmrt_options *o, nmrt_engine *en, const nmrt_output *out,
                              nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_text notes = {0};
    nmrt_status status = o->init ? load_foreign(o->init, en, &notes, c, e)
                                 : load_checkpoint(o->checkpoint, en, &notes, c, e);
    if (notes.n)
        fprintf(out->note, "%s", notes.at);
    nmrt_text_release(&notes);
    return status;
}
