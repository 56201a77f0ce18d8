// Counting, merging, writing; each says how far it is.
#include "runtime/corpus/train_tokenizer.h"

#include "runtime/aside.h"
#include "runtime/clock.h"
#include "runtime/corpus/count_words.h"
#include "runtime/cpu.h"
#include "runtime/stop.h"
#include "runtime/tokenizer/train.h"
#include "runtime/tokenizer/utf8.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// --- how texts are cut into words ----------------------------------------------------------------

#define CUT_BYTES(regex)                                                                           \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "              \
    "\"use_regex\": " #regex "}"

// ByteLevel's own expression is GPT-2's. Llama 3's: letters with what stands before them, numbers
// by three digits, marks, line ends.
static const struct {
    const char *name, *cutter;
} cutters[] = {
    {"gpt2", CUT_BYTES(true)},
    {"llama3",
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
     "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
     "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
     "\"behavior\": \"Isolated\", \"invert\": false}, " CUT_BYTES(false) "]}"},
};
enum { N_CUTTERS = sizeof cutters / sizeof *cutters };

static const char *find_cutter(const char *name)
{
    for (int i = 0; i < N_CUTTERS; i++)
        if (strcmp(cutters[i].name, name) == 0)
            return cutters[i].cutter;
    return NULL;
}

static nmrt_status read_cutter(nmrt_cutter *cutter, const char *json, nmrt_error *e)
{
    nm_json doc;
    NMRT_TRY(nmrt_json_parse(&doc, json, strlen(json), e));
    nmrt_status status = nmrt_cutter_read(cutter, &doc, 0, e);
    nm_json_release(&doc);
    if (status == NMRT_OK)
        nmrt_cutter_leave_bytes(cutter); // words are counted as bytes
    return status;
}

// --- the work ------------------------------------------------------------------------------------

typedef struct job {
    const nmrt_train_tokenizer *o;
    const nmrt_output *out;
    const char *cutter;
    nmrt_counts counts;
    nmrt_training training;
    nmrt_trained trained;
    double told; // nmrt_seconds(): when merging was last told of
} job;

static nmrt_documents_rule rule_for(const nmrt_train_tokenizer *o, const char *path)
{
    if (o->rule != NMRT_DOCUMENTS_AUTO)
        return o->rule;
    bool json = nmrt_documents_rule_of(path) == NMRT_DOCUMENTS_JSONL;
    return json ? NMRT_DOCUMENTS_JSONL : NMRT_DOCUMENTS_LINES;
}

// Files side by side whose texts are of one kind are counted together.
static nmrt_status count_files(job *j, nmrt_count_words *c, nmrt_error *e)
{
    const nmrt_train_tokenizer *o = j->o;
    for (int from = 0, to; from < o->n_paths; from = to) {
        nmrt_documents_rule rule = rule_for(o, o->path[from]);
        for (to = from + 1; to < o->n_paths && rule_for(o, o->path[to]) == rule;)
            to++;
        NMRT_TRY(nmrt_count_words_of(c, o->path + from, to - from, rule, &j->counts, e));
    }
    return NMRT_OK;
}

static nmrt_status count_corpus(job *j, nmrt_error *e)
{
    nmrt_cutter cutter = {0};
    nmrt_meter meter = nmrt_meter_start(j->out, nmrt_corpus_total(j->o->path, j->o->n_paths), 0);
    nmrt_count_words c = {.cutter = &cutter,
                          .rules = {j->o->json_key, j->o->skip_bad},
                          .workers = j->o->workers ? j->o->workers : nmrt_cpu_threads(),
                          .chunk_bytes = j->o->chunk_bytes,
                          .most = (size_t)j->o->most_words,
                          .meter = &meter};
    j->counts.most = c.most;
    nmrt_status status = read_cutter(&cutter, j->cutter, e);
    if (status == NMRT_OK)
        status = count_files(j, &c, e);
    nmrt_cutter_release(&cutter);
    nmrt_meter_end(&meter);
    if (status != NMRT_OK)
        return status;
    fprintf(j->out->text, "%s of text, %s texts, %s different words\n", nmrt_bytes(c.bytes).s,
            nmrt_count((double)c.texts).s, nmrt_count((double)j->counts.n).s);
    if (c.bad.n)
        fprintf(j->out->note, "note: %lld lines were left out, the first: %s\n", (long long)c.bad.n,
                c.bad.first);
    if (j->counts.dropped)
        fprintf(
            j->out->note,
            "note: there are more words than --max-words %lld; %s, none of them there more than "
            "%lld times, were left out\n",
            (long long)j->o->most_words, nmrt_count((double)j->counts.dropped).s,
            (long long)j->counts.rarest);
    return NMRT_OK;
}

static bool tell_pieces(void *told, int64_t pieces)
{
    job *j = told;
    double now = nmrt_seconds();
    nmrt_error e;
    if (now - j->told >= (j->out->terminal ? 0.2 : 10)) {
        fprintf(j->out->text, "%s%lld of %lld pieces%s", j->out->terminal ? "\r" : "",
                (long long)pieces, (long long)j->training.vocabulary_size,
                j->out->terminal ? "\033[K" : "\n");
        fflush(j->out->text);
        j->told = now;
    }
    return nmrt_stop_check(&e) == NMRT_OK;
}

static nmrt_status write_file(const job *j, nmrt_error *e)
{
    char part[NMRT_PATH];
    nmrt_text text = {0};
    NMRT_TRY(nmrt_aside_file(part, j->o->out, e));
    nmrt_trained_write(&j->trained, &j->training, j->cutter, &text);
    nmrt_status status = text.failed
                             ? nmrt_fail(e, NMRT_WORLD, "no memory for the text of %s", j->o->out)
                             : nmrt_file_create(part, text.at, text.n, e);
    if (status == NMRT_OK)
        status = nmrt_aside_place(part, j->o->out, e);
    if (status != NMRT_OK)
        unlink(part);
    nmrt_text_release(&text);
    return status;
}

static nmrt_status train(job *j, nmrt_error *e)
{
    NMRT_TRY(count_corpus(j, e));
    NMRT_TRY(nmrt_bpe_train(&j->trained, &j->training, &j->counts, e));
    if (j->out->terminal)
        fprintf(j->out->text, "\r\033[K");
    NMRT_TRY(write_file(j, e));
    fprintf(j->out->text, "%s: %lld pieces, %lld merges\n", j->o->out,
            (long long)j->trained.vocabulary.size, (long long)j->trained.n);
    if (j->trained.vocabulary.size < j->o->vocabulary_size)
        fprintf(
            j->out->note,
            "note: the corpus has no more pairs to merge, so there are fewer than %lld pieces\n",
            (long long)j->o->vocabulary_size);
    return NMRT_OK;
}

// --- what does not fit ---------------------------------------------------------------------------

static nmrt_status check(const nmrt_train_tokenizer *o, nmrt_error *e)
{
    char part[NMRT_PATH];
    if (!find_cutter(o->regex))
        return nmrt_fail(e, NMRT_USAGE, "--regex %s: it is gpt2 or llama3", o->regex);
    if (nmrt_path_exists(o->out))
        return nmrt_fail(e, NMRT_USAGE, "--out %s is there already; remove it or name another",
                         o->out);
    NMRT_TRY(nmrt_aside_file(part, o->out, e));
    if (o->vocabulary_size > NMRT_MOST_IDS)
        return nmrt_fail(e, NMRT_USAGE,
                         "--vocab-size %lld is above %d, the most that is read again",
                         (long long)o->vocabulary_size, NMRT_MOST_IDS);
    for (int i = 0; i < o->n_special; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(o->special[i], o->special[k]) == 0)
                return nmrt_fail(e, NMRT_USAGE, "--special %s is given twice", o->special[i]);
    for (int i = 0; i < o->n_special; i++)
        if (!*o->special[i] || !nmrt_utf8_is_whole(o->special[i], strlen(o->special[i])))
            return nmrt_fail(e, NMRT_USAGE, "--special '%s' is no text in UTF-8", o->special[i]);
    return NMRT_OK;
}

nmrt_status nmrt_train_tokenizer_run(const nmrt_train_tokenizer *o, const nmrt_output *out,
                                     nmrt_error *e)
{
    NMRT_TRY(check(o, e));
    job j = {.o = o, .out = out, .cutter = find_cutter(o->regex), .told = nmrt_seconds()};
    j.training = (nmrt_training){.vocabulary_size = o->vocabulary_size,
                                 .least = o->least,
                                 .special = o->special,
                                 .n_special = o->n_special,
                                 .tell = tell_pieces,
                                 .told = &j};
    nmrt_status status = train(&j, e);
    nmrt_counts_release(&j.counts);
    nmrt_trained_release(&j.trained);
    return status;
}
