// libFuzzer's entry: the bytes are a tokenizer.json. Whatever they are, it is refused with a reason
// or it encodes and decodes, or says why not, with ids of its own, without a byte being read beyond
// the file or a text.
#include "runtime/tokenizer/kind.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(nmrt_status status, const nmrt_error *e)
{
    if (status != NMRT_OK && !*e->text)
        abort();
}

static void use(nmrt_tokenizer *t, const char *text, size_t n)
{
    nmrt_error e = {0};
    nmrt_encoder *enc;
    nmrt_ids ids = {0};
    nmrt_text back = {0};
    if (nmrt_encoder_open(&enc, t, &e) != NMRT_OK)
        abort();
    check(nmrt_encode(enc, text, n, true, &ids, &e), &e);
    for (size_t i = 0; i < ids.n; i++)
        if (ids.at[i] < 0 || ids.at[i] >= nmrt_tokenizer_size(t))
            abort();
    check(nmrt_decode(t, ids.at, (int64_t)ids.n, true, &back, &e), &e);
    nmrt_ids_release(&ids);
    nmrt_text_release(&back);
    nmrt_encoder_close(enc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char text[] =
        " The boats\xEF\xAC\x81 \t<s>12\xFF\xE6\xB8\xAF  a\xE2\x96\x81 they're\r\n";
    nmrt_error e = {0};
    nmrt_tokenizer *t;
    if (nmrt_json_tokenizer_make(&t, (const char *)bytes, n, "tokenizer.json", &e) != NMRT_OK) {
        check(NMRT_CORRUPT, &e);
        return 0;
    }
    use(t, text, sizeof text - 1);
    use(t, (const char *)bytes, n < 1000 ? n : 1000); // its own keys are in it
    nmrt_tokenizer_close(t);
    return 0;
}
