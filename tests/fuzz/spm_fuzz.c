// libFuzzer's entry: the bytes are a SentencePiece .model. Whatever they are, it is refused with a
// reason or it encodes and decodes, with ids of its own, without a byte being read beyond the model
// or a text.
#include "runtime/tokenizer/kind.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void use(nmrt_tokenizer *t, const char *text, size_t n)
{
    nmrt_error e;
    nmrt_encoder *enc;
    nmrt_ids ids = {0};
    nmrt_text back = {0};
    if (nmrt_encoder_open(&enc, t, &e) != NMRT_OK)
        abort();
    if (nmrt_encode(enc, text, n, true, &ids, &e) != NMRT_OK)
        abort();
    for (size_t i = 0; i < ids.n; i++)
        if (ids.at[i] < 0 || ids.at[i] >= nmrt_tokenizer_size(t))
            abort();
    if (nmrt_decode(t, ids.at, (int64_t)ids.n, true, &back, &e) != NMRT_OK)
        abort();
    nmrt_ids_release(&ids);
    nmrt_text_release(&back);
    nmrt_encoder_close(enc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char text[] = " The boats\xEF\xAC\x81 \t<sep>12\xFF\xE6\xB8\xAF  a\xE2\x96\x81";
    nmrt_error e = {0};
    nmrt_tokenizer *t;
    if (nmrt_spm_tokenizer_make(&t, bytes, n, "model", &e) != NMRT_OK) {
        if (!*e.text)
            abort();
        return 0;
    }
    use(t, text, sizeof text - 1);
    use(t, (const char *)bytes, n); // its own pieces are in it
    nmrt_tokenizer_close(t);
    return 0;
}
