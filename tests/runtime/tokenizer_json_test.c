// tokenizer.json files against what huggingface/tokenizers made of the same texts: ids with and
// without special tokens, and what they decode to, at once and as they come. The files are
// tests/fixtures/make_tokenizers.py's; folders of GPT-2's own files, against transformers, are
// tests/fixtures/gpt2_files.py's.
#include "runtime/tokenizer/tokenizer.h"

#include "tests/runtime/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const char folder[] = "tests/fixtures/tokenizers";

typedef struct lines { // of a file, from its beginning
    FILE *f;
    char *line;
    size_t cap;
} lines;

static bool next(lines *l)
{
    ssize_t n = getline(&l->line, &l->cap, l->f);
    if (n > 0 && l->line[n - 1] == '\n')
        l->line[n - 1] = 0;
    return n >= 0;
}

static void open_lines(lines *l, const char *name, const char *suffix)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
    *l = (lines){.f = fopen(path, "r")};
    if (!l->f) {
        fprintf(stderr, "%s is not there: run the tests in the root of the tree\n", path);
        exit(1);
    }
}

static void close_lines(lines *l)
{
    free(l->line);
    fclose(l->f);
}

static void read_hex(const char *hex, nmrt_text *out)
{
    out->n = 0;
    nmrt_text_add_bytes(out, "", 0);
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        sscanf(hex, "%2x", &byte);
        nmrt_text_add_bytes(out, &(char){(char)byte}, 1);
    }
}

typedef struct test {
    const char *name;
    int text; // the number of its line
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    lines want;
} test;

static void print_ids(const char *what, const nmrt_ids *ids)
{
    fprintf(stderr, "  %s", what);
    for (size_t i = 0; i < ids->n; i++)
        fprintf(stderr, " %d", ids->at[i]);
    fprintf(stderr, "\n");
}

static void check_encode(test *x, const nmrt_text *text, bool special, nmrt_ids *ids)
{
    nmrt_error e;
    nmrt_text line = {0};
    char *copy = malloc(text->n + 1); // without an end mark, so that a sanitizer sees a read beyond
    memcpy(copy, text->at, text->n);
    ids->n = 0;
    nmrt_status status = nmrt_encode(x->enc, copy, text->n, special, ids, &e);
    free(copy);
    for (size_t i = 0; i < ids->n; i++)
        nmrt_text_add(&line, i ? " %d" : "%d", ids->at[i]);
    next(&x->want);
    if (status == NMRT_OK && strcmp(line.at ? line.at : "", x->want.line) == 0) {
        nmrt_text_release(&line);
        return;
    }
    check_failures++;
    fprintf(stderr, "%s, text %d: %s\n  want %s\n", x->name, x->text,
            status == NMRT_OK ? "other ids" : e.text, x->want.line);
    print_ids("got ", ids);
    nmrt_text_release(&line);
}

static void check_decode(test *x, const nmrt_ids *ids, bool skip_special)
{
    nmrt_error e;
    nmrt_text want = {0}, got = {0}, parts = {0};
    next(&x->want);
    read_hex(x->want.line, &want);
    nmrt_status status = nmrt_decode(x->t, ids->at, (int64_t)ids->n, skip_special, &got, &e);
    if (status != NMRT_OK || got.n != want.n || (want.n && memcmp(got.at, want.at, got.n) != 0)) {
        check_failures++;
        fprintf(stderr, "%s, text %d: %s\n  want %s\n  got  %s\n", x->name, x->text,
                status == NMRT_OK ? "another text" : e.text, want.at, got.at ? got.at : "");
    }
    nmrt_decoder d = {.t = x->t, .skip_special = skip_special};
    for (size_t i = 0; i < ids->n; i++)
        CHECK(nmrt_decoder_add(&d, ids->at[i], &parts, &e) == NMRT_OK);
    CHECK(nmrt_decoder_finish(&d, &parts, &e) == NMRT_OK);
    if (parts.n != got.n || (got.n && memcmp(parts.at, got.at, got.n) != 0)) {
        check_failures++;
        fprintf(stderr, "%s, text %d: another text as it comes\n  want %s\n  got  %s\n", x->name,
                x->text, got.at, parts.at ? parts.at : "");
    }
    nmrt_decoder_release(&d);
    nmrt_text_release(&want);
    nmrt_text_release(&got);
    nmrt_text_release(&parts);
}

static void check_texts(test *x)
{
    lines texts;
    nmrt_text text = {0};
    nmrt_ids ids = {0};
    open_lines(&texts, "texts", ".hex");
    open_lines(&x->want, x->name, ".ids");
    for (x->text = 1; next(&texts); x->text++) {
        nmrt_ids plain = {0};
        read_hex(texts.line, &text);
        check_encode(x, &text, true, &ids);
        check_encode(x, &text, false, &plain);
        check_decode(x, &ids, false);
        check_decode(x, &ids, true);
        nmrt_ids_release(&plain);
    }
    CHECK(x->text > 30);
    nmrt_text_release(&text);
    nmrt_ids_release(&ids);
    close_lines(&texts);
    close_lines(&x->want);
}

static void check_tokenizer(const char *name, const char *suffix)
{
    test x = {.name = name};
    char path[512];
    nmrt_error e;
    snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
    if (nmrt_tokenizer_open(&x.t, path, &e) != NMRT_OK ||
        nmrt_encoder_open(&x.enc, x.t, &e) != NMRT_OK) {
        check_failures++;
        fprintf(stderr, "%s\n", e.text);
        nmrt_tokenizer_close(x.t);
        return;
    }
    check_texts(&x);
    nmrt_encoder_close(x.enc);
    nmrt_tokenizer_close(x.t);
}

int main(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        size_t length = strlen(f->d_name);
        if (length < 6 || strcmp(f->d_name + length - 5, ".json") != 0)
            continue;
        f->d_name[length - 5] = 0;
        check_tokenizer(f->d_name, ".json");
        n++;
    }
    CHECK(n > 15);
    check_tokenizer("gpt2_plain", "");
    check_tokenizer("gpt2_added", "");
    check_tokenizer("gpt2_decoder", "");
    if (d)
        closedir(d);
    return check_result();
}
