// What is called as a running mean is one: frontend/elab_ema.c has the other half of the word.
#include "runtime/means.h"

#include <stdio.h>
#include <string.h>

static const char in_checkpoint[] = "optim.ema.";
enum { OPTIM = 6 }; // what checkpoints put before an optimizer's state

static const char *behind(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

const char *nmrt_mean_averages(const nmdrv_param *state)
{
    return state->is_state ? behind(state->path, in_checkpoint + OPTIM) : NULL;
}

const char *nmrt_mean_tensor(const char *name) { return behind(name, in_checkpoint); }

int64_t nmrt_mean_of(const nmdrv_program *p, int64_t param)
{
    for (int64_t i = 0; i < p->n_params; i++) {
        const char *path = nmrt_mean_averages(&p->param[i]);
        if (path && strcmp(path, p->param[param].path) == 0)
            return i;
    }
    return -1;
}

bool nmrt_mean_name(const char *path, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s%s", in_checkpoint, path);
    return n >= 0 && (size_t)n < cap;
}
