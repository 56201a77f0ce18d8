// What the bytes of a tokenised corpus depend on.
#include "runtime/corpus/settings.h"

#include "runtime/hash.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static void add_hash(nmrt_text *out, const char *key, const char *what, uint64_t hash)
{
    nmrt_text value = {0};
    nmrt_text_add(&value, "%s (%016" PRIx64 ")", what, hash);
    if (value.failed)
        out->failed = true;
    else
        nmrt_text_add_pair(out, key, value.at);
    nmrt_text_release(&value);
}

static nmrt_status add_inputs(nmrt_text *out, const nmrt_tokenize *o, nmrt_error *e)
{
    nmrt_hash hash;
    nmrt_hash_init(&hash);
    for (int i = 0; i < o->n_paths; i++) {
        struct stat st = {0};
        if (strcmp(o->path[i], "-") != 0 && stat(o->path[i], &st))
            return nmrt_fail_errno(e, "cannot open %s", o->path[i]);
        int64_t about[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        nmrt_hash_add(&hash, o->path[i], strlen(o->path[i]) + 1);
        nmrt_hash_add(&hash, about, sizeof about);
    }
    char what[32];
    snprintf(what, sizeof what, "%d file%s", o->n_paths, o->n_paths == 1 ? "" : "s");
    add_hash(out, "input", what, nmrt_hash_value(&hash));
    return NMRT_OK;
}

nmrt_status nmrt_tokenize_settings(nmrt_text *settings, const nmrt_tokenize *o,
                                   const nmrt_batch_rules *rules, nmrt_error *e)
{
    uint64_t tokenizer;
    NMRT_TRY(nmrt_tokenizer_hash(o->tokenizer, &tokenizer, e));
    add_hash(settings, "tokenizer", o->tokenizer, tokenizer);
    NMRT_TRY(add_inputs(settings, o, e));
    nmrt_text_add_count(settings, "documents", o->rule);
    nmrt_text_add_pair(settings, "json-key", o->json_key);
    nmrt_text_add_count(settings, "eod", rules->eod);
    nmrt_text_add_count(settings, "add-special-tokens", rules->special);
    nmrt_text_add_pair(settings, "dtype", nmrt_token_type_name(rules->type));
    return settings->failed ? nmrt_fail(e, NMRT_WORLD, "no memory for the journal") : NMRT_OK;
}
