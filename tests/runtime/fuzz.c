// libFuzzer's entry: the bytes are read as JSON and as a safetensors file. Whatever they are,
// nothing is read beyond them and every tensor lies inside.
#include "runtime/json.h"
#include "runtime/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_json(const uint8_t *bytes, size_t n)
{
    nm_json doc;
    nmrt_error e;
    if (nmrt_json_parse(&doc, (const char *)bytes, n, &e) != NMRT_OK)
        return;
    for (int i = 0; i < doc.n; i++) {
        char s[32];
        int64_t x;
        nm_json_string(&doc, i, s, sizeof s);
        nm_json_int(&doc, i, &x);
        nm_json_get(&doc, i, "key");
        if (doc.node[i].next >= doc.n || doc.node[i].first >= doc.n)
            abort();
    }
    nm_json_release(&doc);
}

static void read_safetensors(const uint8_t *bytes, size_t n)
{
    nmrt_safetensors st;
    nmrt_error e;
    if (nmrt_safetensors_parse(&st, bytes, n, &e) != NMRT_OK)
        return;
    for (int i = 0; i < st.n; i++)
        if (st.tensor[i].begin < 0 || st.tensor[i].end > st.n_data)
            abort();
    nmrt_safetensors_release(&st);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    read_json(bytes, n);
    read_safetensors(bytes, n);
    return 0;
}
