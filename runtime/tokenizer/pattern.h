// What a step of a tokenizer.json looks for in a text.
#ifndef NMRT_TOKENIZER_PATTERN_H
#define NMRT_TOKENIZER_PATTERN_H

#include "runtime/json.h"
#include "runtime/tokenizer/regex.h"

typedef struct nmrt_pattern { // one of the three
    nmrt_regex *regex;
    nmrt_text literal;   // where there is no regex; not empty, or
    bool (*is)(int32_t); // each single character of which this holds
} nmrt_pattern;

// From a member {"String": ...} or {"Regex": ...}.
nmrt_status nmrt_pattern_read(nmrt_pattern *p, const nm_json *doc, int object, const char *key,
                              nmrt_error *e);
void nmrt_pattern_release(nmrt_pattern *p);

typedef struct nmrt_finder { // goes through all matches in a text, from the left, without overlap
    const nmrt_pattern *pattern;
    nmrt_regex_scratch *scratch;
    const char *text;
    size_t n;
    size_t at;    // where to look on
    bool matched; // a match ended at `at`: an empty one there is none
} nmrt_finder;

nmrt_status nmrt_finder_next(nmrt_finder *f, nmrt_span *match, bool *found, nmrt_error *e);

#endif
