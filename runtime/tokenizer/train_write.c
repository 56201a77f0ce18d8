// A trained tokenizer as a tokenizer.json, which huggingface/tokenizers opens, too.
#include "runtime/tokenizer/train.h"

// nmrt_text_add_json of a piece, which need not end in 0.
static void add_piece(nmrt_text *out, nmrt_word_piece piece)
{
    nmrt_text copy = {0};
    nmrt_text_add_bytes(&copy, piece.at, piece.n);
    if (copy.at)
        nmrt_text_add_json(out, copy.at);
    out->failed |= copy.failed;
    nmrt_text_release(&copy);
}

static void add_special(const nmrt_trained *t, const nmrt_training *options, nmrt_text *out)
{
    nmrt_text_add(out, "  \"added_tokens\": [");
    for (int i = 0; i < options->n_special; i++) {
        nmrt_text_add(out,
                      "%s\n    {\"id\": %d, \"single_word\": false, \"lstrip\": false, \"rstrip\": "
                      "false, \"normalized\": false, \"special\": true, \"content\": ",
                      i ? "," : "", i);
        add_piece(out, nmrt_vocabulary_piece(&t->vocabulary, i));
        nmrt_text_add(out, "}");
    }
    nmrt_text_add(out, "%s],\n", options->n_special ? "\n  " : "");
}

static void add_vocabulary(const nmrt_trained *t, nmrt_text *out)
{
    nmrt_text_add(out, "    \"vocab\": {");
    for (int64_t id = 0; id < t->vocabulary.size; id++) {
        nmrt_text_add(out, "%s\n      ", id ? "," : "");
        add_piece(out, nmrt_vocabulary_piece(&t->vocabulary, id));
        nmrt_text_add(out, ": %lld", (long long)id);
    }
    nmrt_text_add(out, "\n    },\n");
}

static void add_merges(const nmrt_trained *t, nmrt_text *out)
{
    nmrt_text_add(out, "    \"merges\": [");
    for (int64_t i = 0; i < t->n; i++) {
        nmrt_text_add(out, "%s\n      [", i ? "," : "");
        add_piece(out, nmrt_vocabulary_piece(&t->vocabulary, t->merge[i].left));
        nmrt_text_add(out, ", ");
        add_piece(out, nmrt_vocabulary_piece(&t->vocabulary, t->merge[i].right));
        nmrt_text_add(out, "]");
    }
    nmrt_text_add(out, "%s]\n", t->n ? "\n    " : "");
}

void nmrt_trained_write(const nmrt_trained *t, const nmrt_training *options, const char *cutter,
                        nmrt_text *out)
{
    nmrt_text_add(out,
                  "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    add_special(t, options, out);
    nmrt_text_add(out, "  \"normalizer\": null,\n  \"pre_tokenizer\": %s,\n", cutter);
    nmrt_text_add(out,
                  "  \"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                  "\"trim_offsets\": false, \"use_regex\": true},\n");
    nmrt_text_add(out, "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                       "\"trim_offsets\": true, \"use_regex\": true},\n");
    nmrt_text_add(out, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                       "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                       "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                       "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n");
    add_vocabulary(t, out);
    add_merges(t, out);
    nmrt_text_add(out, "  }\n}\n");
}
