// The size of a step's batch. The quotients are of doubles, as in Megatron-LM, whose steps these
// are.
#include "runtime/rampup.h"

#include <errno.h>
#include <stdlib.h>

static bool parse_numbers(const char *text, int64_t n[3])
{
    for (int i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        n[i] = strtoll(text, &end, 10);
        if (errno || end == text || n[i] < 1 || n[i] >= INT64_C(1) << 53 || *end != ",,"[i])
            return false;
        text = end + 1;
    }
    return true;
}

nmrt_rampup nmrt_rampup_parse(const char *text, int64_t global, nmrt_text *problems)
{
    int64_t n[3];
    if (!text)
        return (nmrt_rampup){.global = global};
    if (!parse_numbers(text, n))
        nmrt_text_add(problems,
                      "--rampup-batch-size takes START,INCREMENT,SAMPLES, three numbers from 1 on, "
                      "not '%s'\n",
                      text);
    else if (!global)
        nmrt_text_add(problems, "--rampup-batch-size needs --global-batch N: what it grows to\n");
    else if (n[0] >= global || (global - n[0]) % n[1])
        nmrt_text_add(problems,
                      "--rampup-batch-size %s: increments of %lld samples do not lead from %lld to "
                      "--global-batch %lld\n",
                      text, (long long)n[1], (long long)n[0], (long long)global);
    else
        return (nmrt_rampup){n[0], n[1], n[2], global};
    return (nmrt_rampup){.global = global};
}

void nmrt_rampup_print(const nmrt_rampup *r, nmrt_text *out)
{
    if (r->start)
        nmrt_text_add(out, ", steps from %lld samples to %lld, by %lld, over the first %lld",
                      (long long)r->start, (long long)r->global, (long long)r->increment,
                      (long long)r->samples);
}

int64_t nmrt_rampup_size(const nmrt_rampup *r, int64_t consumed)
{
    if (!r->start || consumed > r->samples)
        return r->global;
    double each = (double)r->samples / (double)((r->global - r->start) / r->increment);
    int64_t size = r->start + (int64_t)((double)consumed / each) * r->increment;
    return size < r->global ? size : r->global;
}

int64_t nmrt_rampup_after(const nmrt_rampup *r, int64_t consumed, int64_t steps)
{
    for (; steps > 0 && r->start && consumed <= r->samples; steps--)
        consumed += nmrt_rampup_size(r, consumed);
    return consumed + steps * r->global;
}
