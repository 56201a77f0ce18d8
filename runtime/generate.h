// The verb generate.
#ifndef NMRT_GENERATE_H
#define NMRT_GENERATE_H

#include "runtime/choose.h"
#include "runtime/options.h"
#include "runtime/output.h"

// Writes the prompt and its continuation to out->text as it comes, up to --max-tokens or the token
// that ends a text.
nmrt_status nmrt_generate(const nmrt_choice *on, const nmrt_options *o, const nmrt_output *out,
                          nmrt_error *e);

typedef struct nmrt_next_token {
    int token;
    double p; // in proportion to its probability
} nmrt_next_token;

typedef struct nmrt_sampler {
    double temperature, top_p;
    uint64_t seed;
    nmrt_next_token *room; // [as many tokens as are chosen from], the caller's
} nmrt_sampler;

// One of n tokens by its logit; `index` is the draw's number: the same seed and index draw alike.
int nmrt_sample(const nmrt_sampler *s, const double *logit, int n, uint64_t index);

#endif
