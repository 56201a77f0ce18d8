// Regular expressions by PCRE2. Where a process may not make machine code, or a match needs more
// stack than that has, they are interpreted.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/tokenizer/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_LEAST = 32 << 10, STACK_MOST = 8 << 20 };

struct nmrt_regex {
    pcre2_code *code;
    bool compiled; // to machine code
};

struct nmrt_regex_scratch {
    pcre2_match_data *match; // of the whole match alone
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

// --- compiling -----------------------------------------------------------------------------------

static nmrt_status compile(nmrt_regex *re, const char *pattern, size_t n, nmrt_error *e)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a regular expression");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    re->code = pcre2_compile((PCRE2_SPTR)pattern, n,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &code, &at, context);
    pcre2_compile_context_free(context);
    if (!re->code) {
        char why[256] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return nmrt_fail(e, NMRT_FOREIGN, "the regular expression \"%.*s\" is not understood: %s",
                         n < 300 ? (int)n : 300, pattern, why);
    }
    re->compiled = pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE) == 0;
    return NMRT_OK;
}

static nmrt_status open_pattern(nmrt_regex **re, const char *pattern, size_t n, nmrt_error *e)
{
    nmrt_regex *new = calloc(1, sizeof *new);
    *re = NULL;
    if (!new)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a regular expression");
    nmrt_status status = compile(new, pattern, n, e);
    if (status == NMRT_OK)
        *re = new;
    else
        free(new);
    return status;
}

nmrt_status nmrt_regex_open(nmrt_regex **re, const char *pattern, size_t n, nmrt_error *e)
{
    nmrt_text own = {0};
    *re = NULL;
    nmrt_text_add_bytes(&own, "", 0);
    nmrt_status status = nmrt_regex_translate(&own, pattern, n, e);
    if (status == NMRT_OK && own.failed)
        status = nmrt_fail(e, NMRT_WORLD, "no memory for a regular expression");
    if (status == NMRT_OK)
        status = open_pattern(re, own.at, own.n, e);
    nmrt_text_release(&own);
    return status;
}

nmrt_status nmrt_regex_open_own(nmrt_regex **re, const char *pattern, nmrt_error *e)
{
    return open_pattern(re, pattern, strlen(pattern), e);
}

void nmrt_regex_close(nmrt_regex *re)
{
    if (re)
        pcre2_code_free(re->code);
    free(re);
}

// --- matching ------------------------------------------------------------------------------------

nmrt_regex_scratch *nmrt_regex_scratch_new(void)
{
    nmrt_regex_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->match = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL);
    if (!s->match || !s->context) {
        nmrt_regex_scratch_free(s);
        return NULL;
    }
    if (s->stack) // NULL where there is no machine code
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

void nmrt_regex_scratch_free(nmrt_regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

nmrt_status nmrt_regex_find(const nmrt_regex *re, nmrt_regex_scratch *s, const char *text, size_t n,
                            size_t from, nmrt_span *match, bool *found, nmrt_error *e)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (re->compiled)
        rc = pcre2_jit_match(re->code, subject, n, from, 0, s->match, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(re->code, subject, n, from, PCRE2_NO_JIT | PCRE2_NO_UTF_CHECK, s->match,
                         s->context);
    *found = rc >= 0;
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        char why[256] = "";
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        return nmrt_fail(e, NMRT_FOREIGN,
                         "the tokenizer's regular expression gave up at byte %zu of %zu: %s", from,
                         n, why);
    }
    if (!*found)
        return NMRT_OK;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
    *match = (nmrt_span){at[0], at[1]};
    if (match->to < match->from) // a match by \K in what looks ahead
        match->to = match->from;
    return NMRT_OK;
}
