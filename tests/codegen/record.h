// Writes cases (cases.h) for a test of codegen: $NEMOCC_CASES-N.so and .cases for the Nth module
// that it loads. $NEMOCC_CASES_ARCH is the architecture of the kernels: sm_90a where it is not
// said.
#ifndef NM_TESTS_CODEGEN_RECORD_H
#define NM_TESTS_CODEGEN_RECORD_H

#include "tests/codegen/cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *record; // of the last module; NULL: nothing is recorded

static void record_words(const void *at, size_t n)
{
    if (fwrite(at, 8, n, record) != n || fflush(record) != 0) {
        perror("record");
        exit(2);
    }
}

static void record_word(int64_t word) { record_words(&word, 1); }

// Where the module's shared object goes; NULL: nothing is recorded. Static.
static const char *record_path(int n)
{
    static char path[512];
    const char *prefix = getenv("NEMOCC_CASES");
    if (!prefix)
        return NULL;
    snprintf(path, sizeof path, "%s-%d.cases", prefix, n);
    if (!(record = fopen(path, "wb"))) {
        perror(path);
        exit(2);
    }
    record_word(NM_CASES_MAGIC);
    snprintf(path, sizeof path, "%s-%d.so", prefix, n);
    return path;
}

static const char *record_arch(void)
{
    const char *arch = getenv("NEMOCC_CASES_ARCH");
    return arch ? arch : "sm_90a";
}

#endif
