// What an indexed data set holds.
#include "runtime/corpus/info.h"

#include "runtime/corpus/indexed.h"
#include "runtime/tokenizer/tokenizer.h"

typedef struct shape { // of sequences, in tokens
    int64_t shortest, longest;
    int64_t none; // documents without a token
} shape;

static shape measure(const nmrt_indexed *set)
{
    shape s = {.shortest = set->n_sequences ? INT64_MAX : 0};
    for (int64_t i = 0; i < set->n_sequences; i++) {
        int64_t n = nmrt_indexed_length(set, i);
        s.shortest = n < s.shortest ? n : s.shortest;
        s.longest = n > s.longest ? n : s.longest;
    }
    for (int64_t i = 0; i < set->n_documents; i++) {
        int64_t tokens = 0;
        for (int64_t k = nmrt_indexed_first(set, i); k < nmrt_indexed_first(set, i + 1); k++)
            tokens += nmrt_indexed_length(set, k);
        s.none += !tokens;
    }
    return s;
}

// The first `most` tokens, over as many sequences as it takes.
static void read_first(const nmrt_indexed *set, int64_t most, nmrt_ids *ids)
{
    enum { PART = 1024 };
    int32_t token[PART];
    for (int64_t i = 0; i < set->n_sequences && (int64_t)ids->n < most; i++)
        for (int64_t at = 0, n = nmrt_indexed_length(set, i); at < n && (int64_t)ids->n < most;) {
            int64_t k = n - at < PART ? n - at : PART, room = most - (int64_t)ids->n;
            k = k < room ? k : room;
            nmrt_indexed_read(set, i, at, k, token);
            nmrt_ids_add_all(ids, token, (size_t)k);
            at += k;
        }
}

static nmrt_status decode(const char *path, const nmrt_ids *ids, nmrt_text *text, nmrt_error *e)
{
    nmrt_tokenizer *t;
    NMRT_TRY(nmrt_tokenizer_open(&t, path, e));
    nmrt_status status = nmrt_decode(t, ids->at, (int64_t)ids->n, false, text, e);
    nmrt_tokenizer_close(t);
    return status;
}

static void add_ids(nmrt_text *out, const nmrt_ids *ids, const char *separator)
{
    for (size_t i = 0; i < ids->n; i++)
        nmrt_text_add(out, "%s%d", i ? separator : "", ids->at[i]);
}

static void print_lines(const nmrt_indexed *set, const shape *s, const nmrt_ids *first,
                        const nmrt_text *text, nmrt_text *out)
{
    double mean = set->n_sequences ? (double)set->n_tokens / (double)set->n_sequences : 0;
    nmrt_text_add(out, "documents  %lld", (long long)set->n_documents);
    if (s->none)
        nmrt_text_add(out, ", %lld of them without a token", (long long)s->none);
    nmrt_text_add(out, "\nsequences  %lld, of %lld to %lld tokens, %.1f in the mean\n",
                  (long long)set->n_sequences, (long long)s->shortest, (long long)s->longest, mean);
    nmrt_text_add(out, "tokens     %lld, %s, %s\n", (long long)set->n_tokens,
                  nmrt_token_type_name(set->type), nmrt_bytes((int64_t)set->bin.n).s);
    nmrt_text_add(out, "first      ");
    add_ids(out, first, " ");
    nmrt_text_add(out, "\n");
    if (text->n) {
        nmrt_text_add(out, "text       ");
        nmrt_text_add_json(out, text->at);
        nmrt_text_add(out, "\n");
    }
}

static void print_json(const nmrt_indexed *set, const shape *s, const nmrt_ids *first,
                       const nmrt_text *text, nmrt_text *out)
{
    nmrt_text_add(out, "{");
    nmrt_text_add_count(out, "documents", set->n_documents);
    nmrt_text_add_count(out, "documents_without_tokens", s->none);
    nmrt_text_add_count(out, "sequences", set->n_sequences);
    nmrt_text_add_count(out, "tokens", set->n_tokens);
    nmrt_text_add_count(out, "shortest_sequence", s->shortest);
    nmrt_text_add_count(out, "longest_sequence", s->longest);
    nmrt_text_add_pair(out, "dtype", nmrt_token_type_name(set->type));
    nmrt_text_add_count(out, "bytes", (int64_t)set->bin.n);
    if (text->n)
        nmrt_text_add_pair(out, "text", text->at);
    nmrt_text_add(out, "\"first\": [");
    add_ids(out, first, ", ");
    nmrt_text_add(out, "]}\n");
}

nmrt_status nmrt_indexed_info(const nmrt_info_options *o, const nmrt_output *out, nmrt_error *e)
{
    nmrt_indexed set;
    nmrt_ids first = {0};
    nmrt_text text = {0}, lines = {0};
    NMRT_TRY(nmrt_indexed_open(&set, o->prefix, e));
    read_first(&set, o->tokens, &first);
    nmrt_status status = o->tokenizer ? decode(o->tokenizer, &first, &text, e) : NMRT_OK;
    if (status == NMRT_OK) {
        shape s = measure(&set);
        (o->json ? print_json : print_lines)(&set, &s, &first, &text, &lines);
        if (first.failed || text.failed || lines.failed)
            status = nmrt_fail(e, NMRT_WORLD, "no memory for the text");
        else if (fputs(lines.at, out->text) == EOF)
            status = nmrt_fail_errno(e, "cannot write to the output");
    }
    nmrt_indexed_close(&set);
    nmrt_ids_release(&first);
    nmrt_text_release(&text);
    nmrt_text_release(&lines);
    return status;
}
