// nemocc-data: corpora for training, whatever the model: text to Megatron's .bin and .idx, and what
// is in them. main() and the verbs; the work is done in runtime/corpus/ and runtime/tokenizer/.
// Exit codes: 0 done, 1 it failed, 2 the flags are wrong.
#include "nemocc-data-options.h"
#include "runtime/corpus/info.h"
#include "runtime/corpus/merge.h"
#include "runtime/corpus/tokenize.h"
#include "runtime/corpus/train_tokenizer.h"
#include "runtime/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

// --- verbs ---------------------------------------------------------------------------------------

static nmrt_status check_workers(const nm_data_options *o, nmrt_error *e)
{
    if (o->workers > 1024)
        return nmrt_fail(e, NMRT_USAGE, "--workers %lld is more than 1024", (long long)o->workers);
    return NMRT_OK;
}

static nmrt_status check_prefix(const nm_data_options *o, nmrt_error *e)
{
    if (nmrt_indexed_is_file(o->out))
        return nmrt_fail(e, NMRT_USAGE, "--out %s: give the prefix alone: --out %.*s", o->out,
                         (int)strlen(o->out) - 4, o->out);
    return NMRT_OK;
}

static nmrt_status run_tokenize(const nm_data_options *o, const nmrt_output *out, nmrt_error *e)
{
    if (o->eod && !o->append_eod)
        return nmrt_fail(e, NMRT_USAGE, "--eod needs --append-eod");
    NMRT_TRY(check_workers(o, e));
    NMRT_TRY(check_prefix(o, e));
    nmrt_tokenize tokenize = {.tokenizer = o->tokenizer,
                              .prefix = o->out,
                              .json_key = o->json_key,
                              .eod = o->eod,
                              .dtype = o->dtype,
                              .path = o->word.at,
                              .n_paths = o->word.n,
                              .rule = nmrt_documents_rule_find(o->documents),
                              .workers = (int)o->workers,
                              .chunk_bytes = NMRT_CHUNK_BYTES,
                              .journal_every = 2,
                              .append_eod = o->append_eod,
                              .special = o->special,
                              .skip_bad = o->skip_bad,
                              .fresh = o->fresh};
    return nmrt_tokenize_run(&tokenize, out, e);
}

static nmrt_status run_info(const nm_data_options *o, const nmrt_output *out, nmrt_error *e)
{
    nmrt_info_options info = {
        .prefix = o->word.at[0], .tokenizer = o->tokenizer, .tokens = o->tokens, .json = o->json};
    return nmrt_indexed_info(&info, out, e);
}

static nmrt_status run_merge(const nm_data_options *o, const nmrt_output *out, nmrt_error *e)
{
    NMRT_TRY(check_prefix(o, e));
    return nmrt_indexed_merge(o->out, o->word.at, o->word.n, out, e);
}

static nmrt_status run_train(const nm_data_options *o, const nmrt_output *out, nmrt_error *e)
{
    static const char *const usual[] = {"<|endoftext|>"};
    NMRT_TRY(check_workers(o, e));
    nmrt_train_tokenizer train = {.out = o->out,
                                  .regex = o->regex,
                                  .json_key = o->json_key,
                                  .path = o->word.at,
                                  .n_paths = o->word.n,
                                  .rule = nmrt_documents_rule_find(o->documents),
                                  .special = o->pieces.n ? o->pieces.at : usual,
                                  .n_special = o->pieces.n ? o->pieces.n : 1,
                                  .vocabulary_size = o->vocab_size,
                                  .least = o->least,
                                  .most_words = o->max_words,
                                  .workers = (int)o->workers,
                                  .chunk_bytes = NMRT_CHUNK_BYTES,
                                  .skip_bad = o->skip_bad};
    return nmrt_train_tokenizer_run(&train, out, e);
}

const nm_data_verb nm_data_verbs[] = {
    {"tokenize", "FILES", "text or JSONL to PREFIX.bin and PREFIX.idx (-: standard input)",
     NM_DATA_TOKENIZE, true, run_tokenize},
    {"train-tokenizer", "FILES", "byte-level BPE of text or JSONL to a tokenizer.json",
     NM_DATA_TRAIN, true, run_train},
    {"info", "PREFIX", "what PREFIX.bin and PREFIX.idx hold", NM_DATA_INFO, false, run_info},
    {"merge", "PREFIXES", "corpora behind each other, as one", NM_DATA_MERGE, true, run_merge},
    {0},
};

// --- the program ---------------------------------------------------------------------------------

static int print_help(const nm_data_options *o)
{
    nmrt_text text = {0};
    nm_data_options_help(o, &text);
    bool ok = !text.failed && fputs(text.at, stdout) != EOF && !fflush(stdout);
    nmrt_text_release(&text);
    return ok ? 0 : 1;
}

static int report_usage(const nmrt_text *problems)
{
    for (const char *line = problems->at; line && *line;) {
        const char *end = strchr(line, '\n');
        fprintf(stderr, "error: %.*s\n", (int)(end - line), line);
        line = end + 1;
    }
    return 2;
}

static int run_verb(const nm_data_options *o)
{
    nmrt_error e;
    nmrt_output out = {.text = stdout, .note = stderr, .terminal = isatty(STDOUT_FILENO)};
    nmrt_stop_install();
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a full disk: an error of its writer
    nmrt_status status = o->verb->run(o, &out, &e);
    if (status == NMRT_OK && fflush(stdout))
        status = nmrt_fail_errno(&e, "cannot write to the output");
    if (status != NMRT_OK)
        fprintf(stderr, "error: %s\n", e.text);
    return status == NMRT_OK ? 0 : status == NMRT_USAGE ? 2 : 1;
}

int main(int argc, char **argv)
{
    nm_data_options o;
    nmrt_text problems = {0};
    int code;
    if (nm_data_options_parse(&o, argc, argv, &problems) != NMRT_OK)
        code = report_usage(&problems);
    else if (o.version)
        code = puts("nemocc-data " NEMOCC_VERSION) == EOF;
    else
        code = o.help ? print_help(&o) : run_verb(&o);
    nm_data_options_release(&o);
    nmrt_text_release(&problems);
    return code;
}
