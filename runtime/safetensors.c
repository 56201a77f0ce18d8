// Writing and reading safetensors headers.
#include "runtime/safetensors.h"

#include "runtime/dtype.h"
#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 << 20 }; // the format's own limit

void nmrt_safetensors_header(const nmrt_tensor *tensor, int n, nmrt_text *out)
{
    size_t start = out->n;
    nmrt_text_add_bytes(out, "\0\0\0\0\0\0\0\0", 8);
    nmrt_text_add(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < n; i++) {
        const nmrt_tensor *t = &tensor[i];
        nmrt_text_add(out, ",");
        nmrt_text_add_json(out, t->name);
        nmrt_text_add(out, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
        for (int k = 0; k < t->rank; k++)
            nmrt_text_add(out, "%s%lld", k ? "," : "", (long long)t->shape[k]);
        nmrt_text_add(out, "],\"data_offsets\":[%lld,%lld]}", (long long)t->begin,
                      (long long)t->end);
    }
    nmrt_text_add(out, "}");
    while ((out->n - start) % 64 && !out->failed)
        nmrt_text_add(out, " ");
    uint64_t length = out->n - start - 8;
    if (!out->failed)
        memcpy(out->at + start, &length, 8);
}

static int dtype_bits(const char *word, const char **canonical)
{
    for (int d = NMDRV_F64; d <= NMDRV_BOOL; d++) {
        const nmrt_dtype_info *info = nmrt_dtype(d);
        if (info->safetensors && strcmp(info->safetensors, word) == 0) {
            *canonical = info->safetensors;
            return info->bits;
        }
    }
    return 0;
}

static bool read_shape(const nm_json *doc, int node, nmrt_tensor *t)
{
    for (int i = nm_json_first(doc, node); i >= 0; i = doc->node[i].next)
        if (t->rank == NMRT_MAX_RANK || !nm_json_int(doc, i, &t->shape[t->rank]) ||
            t->shape[t->rank++] < 0)
            return false;
    return node >= 0 && doc->node[node].kind == NM_JSON_ARRAY;
}

static bool read_offsets(const nm_json *doc, int node, nmrt_tensor *t)
{
    int first = nm_json_first(doc, node), second = first >= 0 ? doc->node[first].next : -1;
    return nm_json_int(doc, first, &t->begin) && nm_json_int(doc, second, &t->end) &&
           doc->node[second].next < 0;
}

// Do shape and dtype make exactly the bytes between the offsets?
static bool has_bytes(const nmrt_tensor *t, int bits)
{
    int64_t bytes = bits / 8;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return false;
    return t->end - t->begin == bytes;
}

static nmrt_status read_tensor(nmrt_safetensors *st, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_tensor *t = &st->tensor[st->n];
    const nm_json_node *member = &doc->node[node];
    char dtype[16];
    *t = (nmrt_tensor){0};
    if (!nm_json_unquote(member->key, member->n_key, t->name, sizeof t->name))
        return nmrt_fail(e, NMRT_CORRUPT, "the header has a tensor without a proper name");
    int bits = nm_json_string(doc, nm_json_get(doc, node, "dtype"), dtype, sizeof dtype)
                   ? dtype_bits(dtype, &t->dtype)
                   : 0;
    if (!bits || !read_shape(doc, nm_json_get(doc, node, "shape"), t) ||
        !read_offsets(doc, nm_json_get(doc, node, "data_offsets"), t))
        return nmrt_fail(e, NMRT_CORRUPT, "the header's entry for %.200s is not a tensor", t->name);
    if (t->begin < 0 || t->end < t->begin || t->end > st->n_data)
        return nmrt_fail(e, NMRT_CORRUPT, "%.200s lies outside the file", t->name);
    if (!has_bytes(t, bits))
        return nmrt_fail(e, NMRT_CORRUPT, "%.200s has %lld bytes, which are not those of its shape",
                         t->name, (long long)(t->end - t->begin));
    st->n++;
    return NMRT_OK;
}

static int count_children(const nm_json *doc, int node)
{
    int n = 0;
    for (int i = nm_json_first(doc, node); i >= 0; i = doc->node[i].next)
        n++;
    return n;
}

static nmrt_status read_tensors(nmrt_safetensors *st, const nm_json *doc, nmrt_error *e)
{
    if (doc->node[0].kind != NM_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "the header is not an object");
    st->tensor = calloc((size_t)count_children(doc, 0) + 1, sizeof *st->tensor);
    if (!st->tensor)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the header");
    for (int i = nm_json_first(doc, 0); i >= 0; i = doc->node[i].next)
        if (!nm_json_is_named(&doc->node[i], "__metadata__", 12))
            NMRT_TRY(read_tensor(st, doc, i, e));
    return NMRT_OK;
}

nmrt_status nmrt_safetensors_parse(nmrt_safetensors *st, const unsigned char *bytes, size_t n,
                                   nmrt_error *e)
{
    *st = (nmrt_safetensors){0};
    uint64_t length;
    if (n < 8)
        return nmrt_fail(e, NMRT_CORRUPT, "%zu bytes are no safetensors file", n);
    memcpy(&length, bytes, 8);
    if (length > n - 8 || length > MAX_HEADER)
        return nmrt_fail(e, NMRT_CORRUPT, "the header is said to have %llu bytes, the file has %zu",
                         (unsigned long long)length, n);
    st->n_header = 8 + (int64_t)length;
    st->data = bytes + st->n_header;
    st->n_data = (int64_t)n - st->n_header;
    nm_json doc;
    NMRT_TRY(nmrt_json_parse(&doc, (const char *)bytes + 8, length, e));
    nmrt_status status = read_tensors(st, &doc, e);
    nm_json_release(&doc);
    if (status != NMRT_OK)
        nmrt_safetensors_release(st);
    return status;
}

void nmrt_safetensors_release(nmrt_safetensors *st)
{
    free(st->tensor);
    *st = (nmrt_safetensors){0};
}

const nmrt_tensor *nmrt_safetensors_find(const nmrt_safetensors *st, const char *name)
{
    for (int i = 0; i < st->n; i++)
        if (strcmp(st->tensor[i].name, name) == 0)
            return &st->tensor[i];
    return NULL;
}
