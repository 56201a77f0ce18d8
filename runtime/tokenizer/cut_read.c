// Pre-tokenizers of a tokenizer.json: which steps each type is.
#include "runtime/tokenizer/cut.h"

#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

// In PCRE2's syntax, of White_Space and of \w as UTS #18 has it.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
static const char words_and_signs[] = "[" WORD "]+|[^" WORD "\\p{wspace}]+";
// GPT-2's, of its encoder.py, which ByteLevel has without saying so.
static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                           "\\s+(?!\\S)|\\s+";

enum { MOST_STEPS = 64 }; // one is within another when they run

// A step of its own, behind those that are there; NULL: no memory, or too many.
static nmrt_cut_step *add(nmrt_cutter *c, nmrt_cut_kind kind, nmrt_error *e)
{
    if (c->n == MOST_STEPS) {
        nmrt_fail(e, NMRT_CORRUPT, "more than %d steps", MOST_STEPS);
        return NULL;
    }
    nmrt_cut_step *step = realloc(c->step, ((size_t)c->n + 1) * sizeof *step);
    if (!step) {
        nmrt_fail(e, NMRT_WORLD, "no memory for its pre-tokenizer");
        return NULL;
    }
    c->step = step;
    step[c->n] = (nmrt_cut_step){.kind = kind};
    return &step[c->n++];
}

static nmrt_status add_class(nmrt_cutter *c, bool (*is)(int32_t), nmrt_cut_behavior behavior,
                             nmrt_error *e)
{
    nmrt_cut_step *s = add(c, NMRT_CUT_SPLIT, e);
    if (!s)
        return NMRT_WORLD;
    s->pattern.is = is;
    s->behavior = behavior;
    return NMRT_OK;
}

static nmrt_status read_behavior(const nm_json *doc, int node, nmrt_cut_behavior *b, nmrt_error *e)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                        "MergedWithNext"};
    if (nmrt_field_absent(doc, node, "behavior"))
        return NMRT_OK;
    for (int i = 0; i < 5; i++)
        if (nmrt_field_is(doc, node, "behavior", names[i])) {
            *b = (nmrt_cut_behavior)i;
            return NMRT_OK;
        }
    return nmrt_fail(e, NMRT_CORRUPT, "its behavior is none that there is");
}

// --- the types -----------------------------------------------------------------------------------

static nmrt_status read_split(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_cut_step *s = add(c, NMRT_CUT_SPLIT, e);
    if (!s)
        return NMRT_WORLD;
    NMRT_TRY(nmrt_pattern_read(&s->pattern, doc, node, "pattern", e));
    NMRT_TRY(nmrt_field_bool(doc, node, "invert", &s->invert, e));
    return read_behavior(doc, node, &s->behavior, e);
}

static nmrt_status read_byte_level(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    bool space = true, regex = true;
    NMRT_TRY(nmrt_field_bool(doc, node, "add_prefix_space", &space, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "use_regex", &regex, e));
    if (space && !add(c, NMRT_CUT_SPACE, e))
        return NMRT_WORLD;
    nmrt_cut_step *s = regex ? add(c, NMRT_CUT_SPLIT, e) : NULL;
    if (regex && !s)
        return NMRT_WORLD;
    if (regex)
        NMRT_TRY(nmrt_regex_open(&s->pattern.regex, gpt2, sizeof gpt2 - 1, e));
    return add(c, NMRT_CUT_BYTES, e) ? NMRT_OK : NMRT_WORLD;
}

static nmrt_status read_prepend(nmrt_cut_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    static const char *const names[] = {"never", "first", "always"};
    bool add_prefix_space = true, named = false;
    s->prepend = NMRT_PREPEND_ALWAYS;
    NMRT_TRY(nmrt_field_bool(doc, node, "add_prefix_space", &add_prefix_space, e));
    for (int i = 0; i < 3; i++)
        if (nmrt_field_is(doc, node, "prepend_scheme", names[i])) {
            s->prepend = (nmrt_cut_prepend)i;
            named = true;
        }
    if (!named && !nmrt_field_absent(doc, node, "prepend_scheme"))
        return nmrt_fail(e, NMRT_CORRUPT, "its prepend_scheme is none that there is");
    if (!add_prefix_space)
        s->prepend = NMRT_PREPEND_NEVER;
    return NMRT_OK;
}

static nmrt_status read_metaspace(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    bool is_split = true;
    nmrt_cut_step *s = add(c, NMRT_CUT_META, e);
    if (!s)
        return NMRT_WORLD;
    NMRT_TRY(nmrt_field_text(doc, node, "replacement", &s->content, e));
    NMRT_TRY(read_prepend(s, doc, node, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "split", &is_split, e));
    if (!s->content.n)
        return nmrt_fail(e, NMRT_CORRUPT, "its replacement is empty");
    if (!is_split)
        return NMRT_OK;
    nmrt_text content = s->content; // s moves
    s = add(c, NMRT_CUT_SPLIT, e);
    if (!s)
        return NMRT_WORLD;
    nmrt_text_add_bytes(&s->pattern.literal, content.at, content.n);
    s->behavior = NMRT_CUT_MERGED_WITH_NEXT;
    return s->pattern.literal.failed ? nmrt_fail(e, NMRT_WORLD, "no memory for its pre-tokenizer")
                                     : NMRT_OK;
}

static nmrt_status read_digits(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    bool single = false;
    NMRT_TRY(nmrt_field_bool(doc, node, "individual_digits", &single, e));
    return add_class(c, nmrt_is_number, single ? NMRT_CUT_ISOLATED : NMRT_CUT_CONTIGUOUS, e);
}

static nmrt_status read_punctuation(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_cut_behavior behavior = NMRT_CUT_ISOLATED;
    NMRT_TRY(read_behavior(doc, node, &behavior, e));
    return add_class(c, nmrt_is_punctuation, behavior, e);
}

static nmrt_status read_whitespace(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    (void)doc, (void)node;
    nmrt_cut_step *s = add(c, NMRT_CUT_SPLIT, e);
    if (!s)
        return NMRT_WORLD;
    s->behavior = NMRT_CUT_REMOVED;
    s->invert = true;
    return nmrt_regex_open_own(&s->pattern.regex, words_and_signs, e);
}

static nmrt_status read_whitespace_split(nmrt_cutter *c, const nm_json *doc, int node,
                                         nmrt_error *e)
{
    (void)doc, (void)node;
    return add_class(c, nmrt_is_white_space, NMRT_CUT_REMOVED, e);
}

static nmrt_status read_sequence(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    int list = nm_json_get(doc, node, "pretokenizers");
    for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
        NMRT_TRY(nmrt_cutter_read(c, doc, i, e));
    return NMRT_OK;
}

static const struct {
    const char *name;
    nmrt_status (*read)(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e);
} types[] = {
    {"Sequence", read_sequence},     {"Split", read_split},
    {"ByteLevel", read_byte_level},  {"Metaspace", read_metaspace},
    {"Digits", read_digits},         {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace}, {"WhitespaceSplit", read_whitespace_split},
};

nmrt_status nmrt_cutter_read(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind == NM_JSON_NULL)
        return NMRT_OK;
    nmrt_type_name name = nmrt_field_type(doc, node);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name.s) == 0)
            return types[i].read(c, doc, node, e);
    return nmrt_fail(e, NMRT_FOREIGN, "pre-tokenizers of the type %s are not supported", name.s);
}

void nmrt_cutter_release(nmrt_cutter *c)
{
    for (int i = 0; i < c->n; i++) {
        nmrt_pattern_release(&c->step[i].pattern);
        nmrt_text_release(&c->step[i].content);
    }
    free(c->step);
    *c = (nmrt_cutter){0};
}

bool nmrt_cutter_leave_bytes(nmrt_cutter *c)
{
    bool bytes = c->n && c->step[c->n - 1].kind == NMRT_CUT_BYTES;
    c->n -= bytes; // a step of this kind has nothing to release
    return bytes;
}
