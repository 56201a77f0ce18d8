// The data of the verb train: opened and checked before anything is computed, and drawn when it is
// known where the run goes on.
#include "runtime/trainer.h"

#include "runtime/agree.h"
#include "runtime/data_flags.h"
#include "runtime/data_request.h"

static const int64_t CHECKED_BYTES = 1 << 30, MANY_SAMPLES = 200000000;

// All of what is read in a second or so; of what is larger each step's, before the step.
static nmrt_status check_data(nmrt_trainer *t, nmrt_error *e)
{
    t->looks_ahead = t->data.source->bytes > CHECKED_BYTES;
    return t->looks_ahead ? NMRT_OK : nmrt_data_check_all(&t->data, &t->setup.plan, e);
}

static nmrt_status open_data(nmrt_trainer *t, nmrt_error *e)
{
    const nmrt_setup *s = &t->setup;
    nmrt_data_request train, valid;
    NMRT_TRY(nmrt_data_ask(&train, s, NMRT_DATA_TRAIN, t->tokenizer, t->out, e));
    NMRT_TRY(nmrt_data_check(&s->plan, &train.documents, e));
    NMRT_TRY(nmrt_data_open(&t->data, &train, e));
    NMRT_TRY(check_data(t, e));
    if (!nmrt_data_has_valid(t->o))
        return NMRT_OK;
    NMRT_TRY(nmrt_data_ask(&valid, s, NMRT_DATA_VALID, t->tokenizer, t->out, e));
    NMRT_TRY(nmrt_data_open(&t->eval_data, &valid, e));
    return nmrt_evaluation_init(&t->eval, s, &t->eval_data, t->o->eval_samples, t->out, e);
}

// A launcher may start each host with files of its own.
static nmrt_status check_same(nmrt_trainer *t, nmrt_error *e)
{
    int64_t mine = t->data.source->samples, first = mine;
    NMRT_TRY(nmrt_agree_on(t->comm, &first, sizeof first, e));
    if (first == mine)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE,
                     "the ranks have different data: %s has %lld samples for rank %d, and %lld for "
                     "rank 0",
                     t->data.source->q.path, (long long)mine, t->comm->rank, (long long)first);
}

nmrt_status nmrt_train_open_data(nmrt_trainer *t, nmrt_error *e)
{
    NMRT_TRY(nmrt_agree_alike(t->comm, open_data(t, e), e));
    return nmrt_agree(t->comm, check_same(t, e), e);
}

// A resumed run of another length.
static void note_order(const nmrt_trainer *t, int64_t samples)
{
    const nmrt_source *s = t->data.source;
    if (t->at.drawn && !nmrt_source_same_order(s, t->at.drawn, samples))
        fprintf(
            t->out->note,
            "note: the order of %s is drawn for the %lld samples of this run, and was for %lld: "
            "it is another one, in which samples may come again, or not at all\n",
            s->q.path, (long long)samples, (long long)t->at.drawn);
}

static void note_size(const nmrt_trainer *t, int64_t samples)
{
    const nmrt_source *s = t->data.source;
    if (s->kind->draw && samples > MANY_SAMPLES)
        fprintf(t->out->note,
                "note: the order of %s is drawn for %lld samples, all that --steps %lld take: that "
                "takes time, and %s on each rank\n",
                s->q.path, (long long)samples, (long long)t->o->steps,
                nmrt_bytes(samples * (int64_t)sizeof(uint32_t)).s);
}

nmrt_status nmrt_train_draw_data(nmrt_trainer *t, nmrt_error *e)
{
    int64_t steps = t->o->steps - t->at.step;
    if (steps <= 0)
        return NMRT_OK;
    int64_t samples = nmrt_rampup_after(&t->o->rampup, t->at.samples, steps);
    note_order(t, samples);
    note_size(t, samples);
    t->at.drawn = samples;
    return nmrt_agree_alike(t->comm, nmrt_source_draw(t->data.source, samples, e), e);
}
