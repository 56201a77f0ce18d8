// Logits to a file, a micro-batch at a time (a thousand samples of GPT-2's are 200 GB), and of that
// a piece, so that nothing is in memory beyond the plan.
#include "runtime/logits.h"

#include "runtime/dtype.h"
#include "runtime/dump.h"

#include <string.h>

enum {
    PIECE = 1 << 14, // numbers that are brought from the device together
    NUMBER = 4,      // bytes of one in the file
};

typedef struct dumper {
    nmrt_engine *en;
    const nmrt_setup *s;
    const nmrt_data *d;
    int64_t samples; // of the whole
    const nmrt_planned *of;
    const nmdrv_arg *tokens, *logits;
    int64_t vocab;
    nmrt_tensor tensor[2]; // tokens, logits
    nmrt_dump dump;
} dumper;

const nmdrv_func *nmrt_logits_func(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].role == NMDRV_INFER && strcmp(p->func[i].entry, "logits") == 0)
            return &p->func[i];
    return NULL;
}

static bool is_dim(const nmdrv_program *p, const nmdrv_arg *a, int64_t i, const char *sym)
{
    int64_t s = p->dim[a->dim[i]].sym;
    return s < 0 || (sym && strcmp(p->sym[s].name, sym) == 0); // -1: it was fixed
}

// Outermost first, as the file has them.
static bool has_shape(const nmdrv_program *p, const nmdrv_arg *a, int64_t rank)
{
    return a && a->rank == rank && is_dim(p, a, 0, p->batch) && is_dim(p, a, 1, p->seq);
}

static nmrt_status find_values(dumper *x, nmrt_error *e)
{
    const nmdrv_program *p = x->s->program;
    const nmdrv_func *f = x->of->func;
    for (int64_t i = 0; i < f->n_args; i++)
        if (f->arg[i].bind == NMDRV_DATA && nmrt_data_is_token(f->arg[i].name))
            x->tokens = &f->arg[i];
    for (int64_t i = 0; i < f->n_results; i++)
        x->logits = f->result[i].bind == NMDRV_OUT ? &f->result[i] : x->logits;
    x->vocab = x->logits && x->logits->rank == 3 ? p->dim[x->logits->dim[2]].extent : 0;
    if (!has_shape(p, x->tokens, 2) || !has_shape(p, x->logits, 3) || x->vocab <= 0)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the program is inconsistent: %s does not take tokens [batch, seq] and "
                         "give logits [batch, seq, vocabulary]",
                         f->name);
    return NMRT_OK;
}

static void name_tensors(dumper *x)
{
    x->tensor[0] = (nmrt_tensor){
        .name = "tokens", .dtype = "I32", .rank = 2, .shape = {x->samples, x->s->seq}};
    x->tensor[1] = (nmrt_tensor){
        .name = "logits", .dtype = "F32", .rank = 3, .shape = {x->samples, x->s->seq, x->vocab}};
    nmrt_dump_lay(x->tensor, 2);
}

static int64_t width(const nmdrv_arg *a) { return nmrt_dtype(a->dtype)->bits / 8; }

static void *value_at(const dumper *x, const nmdrv_arg *a)
{
    return x->en->buf[x->of - x->en->plan->func][a->buf];
}

static nmrt_status load_fields(const dumper *x, const nmdrv_sym *sym, nmrt_error *e)
{
    const nmdrv_func *f = x->of->func;
    for (int64_t i = 0; i < f->n_args; i++)
        if (f->arg[i].bind == NMDRV_DATA)
            NMRT_TRY(nmrt_data_load(x->d, x->en, &f->arg[i], sym, 0, e));
    return NMRT_OK;
}

static void store(char *to, const nmrt_tensor *as, double value)
{
    if (strcmp(as->dtype, "I32") == 0)
        memcpy(to, &(int32_t){(int32_t)value}, NUMBER);
    else
        memcpy(to, &(float){(float)value}, NUMBER);
}

// n numbers of the value, from the device to behind the first `done` of the tensor.
static nmrt_status dump_value(const dumper *x, const nmdrv_arg *a, const nmrt_tensor *to,
                              int64_t done, int64_t n, nmrt_error *e)
{
    char raw[PIECE * 8], stored[PIECE * NUMBER];
    int64_t size = width(a);
    const char *from = value_at(x, a);
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t some = n - i < PIECE ? n - i : PIECE;
        x->en->ops->copy_out(x->en->device, raw, from + i * size, some * size);
        for (int64_t k = 0; k < some; k++)
            store(stored + k * NUMBER, to, nmrt_number_read(a->dtype, raw + k * size));
        NMRT_TRY(nmrt_dump_write(&x->dump, to->begin + (done + i) * NUMBER, stored,
                                 (size_t)(some * NUMBER), e));
    }
    return NMRT_OK;
}

static nmrt_status dump_micro(dumper *x, int64_t micro, nmrt_error *e)
{
    const nmrt_setup *s = x->s;
    int64_t first = micro * s->samples, left = x->samples - first;
    int64_t n = (left < s->samples ? left : s->samples) * s->seq;
    nmrt_syms syms;
    nmrt_setup_bind(s, micro, s->samples, x->samples, &syms);
    NMRT_TRY(load_fields(x, syms.at, e));
    nmrt_engine_call(x->en, x->of, syms.at);
    NMRT_TRY(dump_value(x, x->tokens, &x->tensor[0], first * s->seq, n, e));
    return dump_value(x, x->logits, &x->tensor[1], first * s->seq * x->vocab, n * x->vocab, e);
}

static nmrt_status dump_all(dumper *x, nmrt_error *e)
{
    for (int64_t micro = 0; micro * x->s->samples < x->samples; micro++)
        NMRT_TRY(dump_micro(x, micro, e));
    return NMRT_OK;
}

static nmrt_status dump(dumper *x, const char *path, nmrt_error *e)
{
    NMRT_TRY(find_values(x, e));
    name_tensors(x);
    NMRT_TRY(nmrt_dump_open(&x->dump, path, x->tensor, 2, NULL, e));
    return nmrt_dump_close(&x->dump, NULL, dump_all(x, e), e);
}

nmrt_status nmrt_logits_dump(nmrt_engine *en, const nmrt_setup *s, const nmrt_data *d,
                             int64_t samples, const char *path, nmrt_error *e)
{
    dumper x = {.en = en, .s = s, .d = d, .samples = samples};
    x.of = nmrt_plan_find(en->plan, nmrt_logits_func(s->program));
    return dump(&x, path, e);
}
