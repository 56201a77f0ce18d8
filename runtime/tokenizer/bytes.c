// The tokenizer "bytes": a byte is its own id. It has no pieces, and no file.
#include "runtime/tokenizer/kind.h"

static void close_bytes(nmrt_tokenizer *t)
{
    (void)t; // a constant
}

static int64_t find_id(const nmrt_tokenizer *t, const char *piece, size_t n)
{
    (void)t;
    return n == 1 ? (unsigned char)*piece : -1;
}

static nmrt_status encode(const nmrt_tokenizer *t, void *scratch, const char *text, size_t n,
                          bool special, nmrt_ids *out, nmrt_error *e)
{
    (void)t, (void)scratch, (void)special, (void)e;
    for (size_t i = 0; i < n; i++)
        nmrt_ids_add(out, (unsigned char)text[i]);
    return NMRT_OK;
}

static nmrt_status decode(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                          nmrt_text *out, nmrt_error *e)
{
    (void)t, (void)skip_special, (void)e;
    for (int64_t i = 0; i < n; i++)
        if (id[i] >= 0 && id[i] < 256)
            nmrt_text_add_bytes(out, &(unsigned char){(unsigned char)id[i]}, 1);
    return NMRT_OK;
}

nmrt_status nmrt_bytes_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e)
{
    static const nmrt_tokenizer_kind kind = {.close = close_bytes,
                                             .id = find_id,
                                             .encode = encode,
                                             .decode = decode,
                                             .takes_bytes = true};
    static nmrt_tokenizer bytes = {.kind = &kind, .size = 256, .eos = -1};
    (void)path, (void)e;
    *t = &bytes;
    return NMRT_OK;
}
