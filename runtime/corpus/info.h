// What an indexed data set holds, in a few lines or as JSON.
#ifndef NMRT_CORPUS_INFO_H
#define NMRT_CORPUS_INFO_H

#include "runtime/output.h"
#include "runtime/status.h"

#include <stdint.h>

typedef struct nmrt_info_options {
    const char *prefix;
    const char *tokenizer; // NULL: tokens are printed as ids alone
    int64_t tokens;        // how many of the first to print
    bool json;
} nmrt_info_options;

nmrt_status nmrt_indexed_info(const nmrt_info_options *o, const nmrt_output *out, nmrt_error *e);

#endif
