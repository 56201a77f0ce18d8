// libFuzzer's entry: the bytes are read as the index of a corpus, whose .bin has as many bytes as
// the last of them says, and as lines of JSON. Whatever they are, nothing is read beyond them.
#include "runtime/corpus/indexed.h"
#include "runtime/corpus/line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_index(const uint8_t *bytes, size_t n)
{
    nmrt_indexed set;
    nmrt_error e;
    size_t n_bin = n ? bytes[n - 1] : 0;
    unsigned char *bin = calloc(n_bin + !n_bin, 1);
    int32_t *token = malloc((n_bin + 1) * sizeof *token);
    if (nmrt_indexed_parse(&set, (nmrt_map){bytes, n}, (nmrt_map){bin, n_bin}, &e) == NMRT_OK)
        for (int64_t i = 0; i < set.n_documents; i++)
            for (int64_t k = nmrt_indexed_first(&set, i); k < nmrt_indexed_first(&set, i + 1); k++)
                nmrt_indexed_read(&set, k, 0, nmrt_indexed_length(&set, k), token);
    free(bin);
    free(token);
}

static void read_texts(const nmrt_document *document)
{
    nmrt_line line;
    nmrt_error e;
    bool end = false;
    if (nmrt_line_open(&line, document, "text", &e) != NMRT_OK)
        return;
    while (!end && nmrt_line_next(&line, &end, &e) == NMRT_OK)
        if (!end && line.text.n > document->n) // no escape is longer than what it stands for
            abort();
    nmrt_line_close(&line);
}

static void read_lines(const uint8_t *bytes, size_t n, nmrt_documents_rule rule)
{
    nmrt_chunk chunk = {.rule = rule};
    nmrt_text_add_bytes(&chunk.text, bytes, n);
    nmrt_documents documents = {.chunk = &chunk};
    nmrt_document document;
    while (nmrt_documents_next(&documents, &document))
        read_texts(&document);
    nmrt_chunk_release(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    read_index(bytes, n);
    read_lines(bytes, n, NMRT_DOCUMENTS_JSONL);
    read_lines(bytes, n, NMRT_DOCUMENTS_PARAGRAPHS);
    return 0;
}
