// An engine for tests of checkpoints: the slots of a program's parameters and states as one rank of
// a mesh holds them, made by hand, so that nothing but checkpoints is tested.
#ifndef NMRT_CHECKPOINT_RIG_H
#define NMRT_CHECKPOINT_RIG_H

#include "runtime/checkpoint.h"

#include "runtime/dtype.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

typedef struct rig {
    nmrt_plan plan;
    nmrt_engine en;
    nmrt_options options;
} rig;

// The options that --save gives, with the flags of the program that is linked.
static inline void rig_options(nmrt_options *o, const char *save)
{
    const char *argv[] = {"x", "--data", "f", "--save", save, NULL};
    nmrt_text problems = {0};
    CHECK(nmrt_options_parse(o, nemocc_programs[0], 5, (char **)argv, &problems) == NMRT_OK);
    nmrt_text_release(&problems);
}

// arg: [n_params] how each lies in memory; elements: of each; NULL: this rank lacks it.
static inline void rig_open(rig *r, const nmdrv_program *program, const nmdrv_arg *const *arg,
                            const int64_t *elements, const char *save)
{
    *r = (rig){.plan = {.program = program}};
    r->plan.slot = calloc((size_t)program->n_params, sizeof *r->plan.slot);
    for (int64_t i = 0; i < program->n_params; i++) {
        const nmdrv_param *p = &program->param[i];
        if (!arg[i])
            continue;
        int64_t bytes = elements[i] * nmrt_dtype(p->dtype)->bits / 8;
        r->plan.slot[r->plan.n_slots++] =
            (nmrt_slot){.bind = p->is_state ? NMDRV_STATE : NMDRV_PARAM,
                        .name = p->path,
                        .arg = arg[i],
                        .bytes = bytes,
                        .offset = r->plan.slots};
        r->plan.slots += (bytes + 63) / 64 * 64;
    }
    r->en = (nmrt_engine){.program = program,
                          .plan = &r->plan,
                          .ops = &nmrt_device_host,
                          .slots = malloc((size_t)r->plan.slots + 1),
                          .slot = calloc((size_t)r->plan.n_slots + 1, sizeof(void *))};
    for (int i = 0; i < r->plan.n_slots; i++)
        r->en.slot[i] = (char *)r->en.slots + r->plan.slot[i].offset;
    rig_options(&r->options, save);
}

static inline void rig_close(rig *r)
{
    free(r->plan.slot);
    free(r->en.slots);
    free(r->en.slot);
    nmrt_options_release(&r->options);
}

static inline void *rig_at(rig *r, int64_t param) // NULL: this rank lacks it
{
    const nmdrv_param *p = &r->plan.program->param[param];
    const nmrt_slot *s = nmrt_plan_slot(&r->plan, p->is_state ? NMDRV_STATE : NMDRV_PARAM, p->path);
    return s ? nmrt_engine_slot_at(&r->en, s) : NULL;
}

// Saves at once; a failure's message is the one that a user would see.
static inline nmrt_status rig_save(nmrt_saver *s, nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_status status = nmrt_checkpoint_begin(s, c, e);
    return status == NMRT_OK ? nmrt_checkpoint_wait(s, c, e) : status;
}

static inline void rig_remove(const char *dir)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

#endif
