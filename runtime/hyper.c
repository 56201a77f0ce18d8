// The numbers of the program's train block as flags.
#include "runtime/hyper.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_index(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isdigit((unsigned char)*s))
            return false;
    return true;
}

// betas.1 -> "betas" and true; a name without an index -> the whole and false.
static bool split_index(const char *name, size_t *stem)
{
    const char *dot = strrchr(name, '.');
    bool indexed = dot && is_index(dot + 1);
    *stem = indexed ? (size_t)(dot - name) : strlen(name);
    return indexed;
}

static void name_flag(char out[64], const char *name)
{
    size_t stem;
    split_index(name, &stem);
    snprintf(out, 64, "%.*s", (int)(stem < 60 ? stem : 60), name);
    char *last = strrchr(out, '.');
    if (strcmp(last ? last + 1 : out, "floor") == 0) // as every trainer calls it
        strcpy(last ? last + 1 : out, "min-lr");
    for (char *c = out; *c; c++)
        if (*c == '_')
            *c = '-';
}

static int find_hyper(const nmrt_hypers *h, const char *name, size_t n)
{
    for (int i = 0; i < h->n; i++)
        if (strlen(h->hyper[i].name) == n && memcmp(h->hyper[i].name, name, n) == 0)
            return i;
    return -1;
}

static bool is_run_scalar(const char *name)
{
    static const char *const known[] = {"step", "steps", "epoch", "seed", "at", "lr"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

// Schedules that the block does not use may read numbers that it does not have.
static void add_schedule_numbers(nmrt_hypers *h)
{
    for (int64_t k = 0; k < h->program->n_funcs; k++) {
        const nmdrv_func *f = &h->program->func[k];
        for (int64_t i = 0; f->role == NMDRV_SCHEDULE && i < f->n_args; i++) {
            const char *name = f->arg[i].name;
            if (f->arg[i].bind != NMDRV_SCALAR || is_run_scalar(name) ||
                find_hyper(h, name, strlen(name)) >= 0)
                continue;
            bool zero = strcmp(name, "warmup") == 0 || strcmp(name, "floor") == 0 ||
                        strcmp(name, "hold") == 0;
            h->hyper[h->n++] = (nmrt_hyper){.name = name, .needed = !zero};
        }
    }
}

static int count_schedule_args(const nmdrv_program *program)
{
    int n = 0;
    for (int64_t k = 0; k < program->n_funcs; k++)
        if (program->func[k].role == NMDRV_SCHEDULE)
            n += (int)program->func[k].n_args;
    return n;
}

static void make_flags(nmrt_hypers *h)
{
    for (int i = 0; i < h->n; i++) {
        nmrt_hyper_flag flag = {.first = i, .n = 1};
        name_flag(flag.name, h->hyper[i].name);
        nmrt_hyper_flag *last = h->n_flags ? &h->flag[h->n_flags - 1] : NULL;
        size_t stem;
        if (last && split_index(h->hyper[i].name, &stem) && strcmp(last->name, flag.name) == 0)
            last->n++;
        else
            h->flag[h->n_flags++] = flag;
    }
}

nmrt_status nmrt_hypers_init(nmrt_hypers *h, const nmdrv_program *program, nmrt_error *e)
{
    size_t room = (size_t)(program->n_hypers + count_schedule_args(program)) + 1;
    *h = (nmrt_hypers){.program = program,
                       .hyper = calloc(room, sizeof *h->hyper),
                       .flag = calloc(room, sizeof *h->flag)};
    if (!h->hyper || !h->flag) {
        nmrt_hypers_release(h);
        return nmrt_fail(e, NMRT_WORLD, "no memory for the flags");
    }
    for (int64_t i = 0; i < program->n_hypers; i++)
        h->hyper[h->n++] = (nmrt_hyper){.name = program->hyper[i].name};
    add_schedule_numbers(h);
    make_flags(h);
    return NMRT_OK;
}

void nmrt_hypers_release(nmrt_hypers *h)
{
    free(h->hyper);
    free(h->flag);
    *h = (nmrt_hypers){0};
}

const nmrt_hyper_flag *nmrt_hyper_flag_find(const nmrt_hypers *h, const char *name)
{
    for (int i = 0; i < h->n_flags; i++)
        if (strcmp(h->flag[i].name, name) == 0)
            return &h->flag[i];
    return NULL;
}

const nmrt_hyper_about *nmrt_hyper_about_find(const char *flag)
{
    static const nmrt_hyper_about table[] = {
        {"lr", "the learning rate, or its peak", 0, INFINITY, false, false},
        {"warmup", "steps until the learning rate has its peak", 0, INFINITY, false, false},
        {"min-lr", "where the learning rate ends", 0, INFINITY, false, false},
        {"hold", "steps at the end with the learning rate at its end", 0, INFINITY, false, false},
        {"cooldown", "the share of the run, at its end, in which wsd decays", 0, 1, true, false},
        {"gamma", "the learning rate's factor at every decay", 0, INFINITY, true, false},
        {"every", "steps between two decays", 0, INFINITY, true, false},
        {"betas", "decay of the gradient's mean and of its square's mean", 0, 1, false, true},
        {"decay", "step t keeps 1 - 1 / t^decay of the mean of squares", 0, 1, true, false},
        {"eps", "added to a denominator", 0, INFINITY, true, false},
        {"weight-decay", "decoupled decay of weights", 0, INFINITY, false, false},
        {"momentum", "decay of the gradient's mean", 0, 1, false, true},
        {"clip", "the largest global norm of the gradients; 0: any", 0, INFINITY, false, false},
        {"ema", "what a step keeps of the running mean of the weights", 0, 1, false, true},
        {"", "a number of the train block", -INFINITY, INFINITY, false, false},
    };
    const char *dot = strrchr(flag, '.');
    const nmrt_hyper_about *about = table;
    while (*about->name && strcmp(about->name, dot ? dot + 1 : flag) != 0)
        about++;
    return about;
}

static nmrt_status check_range(const char *flag, double x, nmrt_error *e)
{
    const nmrt_hyper_about *a = nmrt_hyper_about_find(flag);
    if ((x > a->low || (x == a->low && !a->low_open)) &&
        (x < a->high || (x == a->high && !a->high_open)))
        return NMRT_OK;
    if (isinf(a->high))
        return nmrt_fail(e, NMRT_USAGE, "--%s %g is not %s %g", flag, x,
                         a->low_open ? "above" : "at least", a->low);
    return nmrt_fail(e, NMRT_USAGE, "--%s %g is not in %c%g, %g%c", flag, x,
                     a->low_open ? '(' : '[', a->low, a->high, a->high_open ? ')' : ']');
}

nmrt_status nmrt_hyper_parse(nmrt_hypers *h, const nmrt_hyper_flag *flag, const char *text,
                             nmrt_error *e)
{
    const char *s = text;
    for (int i = 0; i < flag->n; i++) {
        char *end;
        double x = strtod(s, &end);
        if (end == s || !isfinite(x) || *end != (i + 1 < flag->n ? ',' : 0))
            return nmrt_fail(e, NMRT_USAGE, "--%s takes %s%s, not '%s'", flag->name,
                             flag->n == 1 ? "a number" : "numbers with commas between",
                             flag->n == 2 ? " (A,B)" : "", text);
        NMRT_TRY(check_range(flag->name, x, e));
        h->hyper[flag->first + i].value = x;
        h->hyper[flag->first + i].set = h->hyper[flag->first + i].given = true;
        s = end + 1;
    }
    return NMRT_OK;
}

void nmrt_hypers_default(nmrt_hypers *h, int64_t steps)
{
    for (int i = 0; i < h->program->n_hypers; i++)
        if (!h->hyper[i].set)
            h->hyper[i].value =
                h->program->hyper[i].value + h->program->hyper[i].per_step * (double)steps;
}

void nmrt_hyper_print(const nmrt_hypers *h, const nmrt_hyper_flag *flag, nmrt_text *out)
{
    for (int i = flag->first; i < flag->first + flag->n; i++) {
        if (i > flag->first)
            nmrt_text_add(out, ",");
        const nmdrv_hyper *row = i < h->program->n_hypers ? &h->program->hyper[i] : NULL;
        if (h->hyper[i].set || !row || row->per_step == 0)
            nmrt_text_add_f32(out,
                              (float)(h->hyper[i].set || !row ? h->hyper[i].value : row->value));
        else {
            nmrt_text_add_f32(out, (float)row->per_step);
            nmrt_text_add(out, " * steps");
            if (row->value != 0)
                nmrt_text_add(out, " + %g", row->value);
        }
    }
}

const nmdrv_func *nmrt_schedule_find(const nmdrv_program *program, const char *name)
{
    const nmdrv_func *begins = NULL; // the only one whose name begins so
    int n_begin = 0;
    for (int64_t i = 0; i < program->n_funcs; i++) {
        const nmdrv_func *f = &program->func[i];
        if (f->role != NMDRV_SCHEDULE || strncmp(f->entry, name, strlen(name)) != 0)
            continue;
        if (strcmp(f->entry, name) == 0)
            return f;
        begins = f;
        n_begin++;
    }
    return *name && n_begin == 1 ? begins : NULL;
}

const nmdrv_func *nmrt_schedule_of(const nmrt_hypers *h, int i)
{
    const char *own = i < h->program->n_hypers ? h->program->hyper[i].schedule : "";
    if (!*own)
        return NULL;
    return nmrt_schedule_find(h->program, h->schedule ? h->schedule : own);
}

// muon.lr reads muon.warmup, muon.lr.2 reads muon.warmup.2; where there is none, the others'.
int nmrt_schedule_arg(const nmrt_hypers *h, int peak, const char *name)
{
    const char *own = h->hyper[peak].name;
    size_t stem, owner = 0;
    split_index(own, &stem);
    for (size_t i = 0; i < stem; i++)
        if (own[i] == '.')
            owner = i + 1;
    char candidate[160];
    int n = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)owner, own, name, own + stem);
    int i = n > 0 && n < (int)sizeof candidate ? find_hyper(h, candidate, (size_t)n) : -1;
    return i >= 0 ? i : find_hyper(h, name, strlen(name));
}

static const char *flag_of(const nmrt_hypers *h, int i)
{
    int k = 0;
    while (i >= h->flag[k].first + h->flag[k].n)
        k++;
    return h->flag[k].name;
}

static nmrt_status check_schedule(const nmrt_hypers *h, int peak, nmrt_error *e)
{
    const nmdrv_func *f = nmrt_schedule_of(h, peak);
    if (*h->program->hyper[peak].schedule && !f)
        return nmrt_fail(e, NMRT_USAGE, "the program has no schedule '%s'",
                         h->schedule ? h->schedule : h->program->hyper[peak].schedule);
    for (int64_t k = 0; f && k < f->n_args; k++) {
        const char *name = f->arg[k].name;
        int a = is_run_scalar(name) ? -1 : nmrt_schedule_arg(h, peak, name);
        if (a >= 0 && h->hyper[a].needed && !h->hyper[a].set)
            return nmrt_fail(e, NMRT_USAGE, "--lr-schedule %s needs --%s", f->entry, name);
        if (a >= 0 && strcmp(name, "floor") == 0 && h->hyper[a].value > h->hyper[peak].value)
            return nmrt_fail(e, NMRT_USAGE, "--%s %g is above --%s %g", flag_of(h, a),
                             h->hyper[a].value, flag_of(h, peak), h->hyper[peak].value);
    }
    return NMRT_OK;
}

static bool step_reads(const nmdrv_program *p, const char *name)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        for (int64_t k = 0; p->func[i].role != NMDRV_SCHEDULE && k < p->func[i].n_args; k++)
            if (p->func[i].arg[k].bind == NMDRV_SCALAR && strcmp(p->func[i].arg[k].name, name) == 0)
                return true;
    return false;
}

static bool schedules_read(const nmrt_hypers *h, int i)
{
    for (int peak = 0; peak < h->program->n_hypers; peak++) {
        const nmdrv_func *f = nmrt_schedule_of(h, peak);
        for (int64_t k = 0; f && k < f->n_args; k++)
            if (nmrt_schedule_arg(h, peak, f->arg[k].name) == i)
                return true;
    }
    return false;
}

nmrt_status nmrt_hypers_check(const nmrt_hypers *h, nmrt_error *e)
{
    bool has_peak = false;
    for (int i = 0; i < h->program->n_hypers; i++) {
        has_peak |= *h->program->hyper[i].schedule != 0;
        NMRT_TRY(check_schedule(h, i, e));
    }
    if (h->schedule && !has_peak)
        return nmrt_fail(e, NMRT_USAGE,
                         "--lr-schedule: the train block gives no learning rate a schedule");
    for (int i = 0; i < h->n; i++)
        if (h->hyper[i].given && !step_reads(h->program, h->hyper[i].name) && !schedules_read(h, i))
            return nmrt_fail(
                e, NMRT_USAGE,
                "--%s would change nothing: neither the step nor its schedule reads it",
                flag_of(h, i));
    return NMRT_OK;
}
