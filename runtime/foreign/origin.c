// Both origins. Of a checkpoint the newest whole one is taken, as eval does.
#include "runtime/foreign/origin.h"

#include "runtime/foreign/companions.h"
#include "runtime/foreign/record.h"
#include "runtime/weights.h"

#include <stdio.h>
#include <string.h>

static nmrt_status open_checkpoint(nmrt_origin *s, const nmrt_options *o, nmrt_text *notes,
                                   nmrt_error *e)
{
    nmrt_reading reading = nmrt_weights_reading(o);
    const char *path = o->checkpoint;
    nmrt_checkpoint c;
    s->plan = (nmrt_plan){.program = s->program};
    s->en = (nmrt_engine){.program = s->program, .plan = &s->plan, .ops = &nmrt_device_host};
    NMRT_TRY(nmrt_checkpoint_load(path, &s->en, reading, &c, notes, e));
    if (!*c.path)
        return nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", path);
    snprintf(s->path, sizeof s->path, "%s", c.path);
    return nmrt_reader_open(&s->reader, s->path, &s->en, reading, &c, e);
}

static nmrt_status open_record(nmrt_origin *s, const nmdrv_weights *map, nmrt_error *e)
{
    char folder[NMRT_PATH];
    if (nmrt_companions_find(s->path, folder))
        NMRT_TRY(nmrt_record_open(&s->record, folder, e));
    nmrt_match_names(&s->recorded, s->program, map, &s->record);
    return NMRT_OK;
}

nmrt_status nmrt_origin_open(nmrt_origin *s, const nmdrv_program *program, const nmdrv_weights *map,
                             const nmrt_options *o, nmrt_text *notes, nmrt_error *e)
{
    s->program = program;
    s->foreign = o->init != NULL;
    if (!s->foreign) {
        NMRT_TRY(open_checkpoint(s, o, notes, e));
        return open_record(s, map, e);
    }
    NMRT_TRY(nmrt_import_open(&s->import, program, o->init, notes, e));
    nmrt_match_print_unused(&s->import.match, notes);
    snprintf(s->path, sizeof s->path, "%s", s->import.from.path);
    return NMRT_OK;
}

void nmrt_origin_close(nmrt_origin *s)
{
    nmrt_import_close(&s->import);
    nmrt_match_release(&s->recorded);
    nmrt_foreign_close(&s->record);
    nmrt_reader_close(s->reader);
}

nmrt_status nmrt_origin_read(nmrt_origin *s, int64_t param, const nmrt_box *box, float *to,
                             nmrt_error *e)
{
    return s->foreign ? nmrt_match_read(&s->import.match, param, box, to, e)
                      : nmrt_reader_box(s->reader, param, box, to, e);
}

const nmrt_tensor *nmrt_origin_find(const nmrt_origin *s, const char *name)
{
    const nmrt_foreign_tensor *t =
        nmrt_match_find(s->foreign ? &s->import.match : &s->recorded, name);
    return t ? t->is : NULL;
}
