// The wire format of protocol buffers: a field is a varint of number and kind, then its value.
#include "runtime/tokenizer/protobuf.h"

// Groups of seven bits, the lowest first, each but the last with its highest bit set.
static bool take_varint(const unsigned char **at, const unsigned char *end, uint64_t *value)
{
    uint64_t x = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        x |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = x;
            return true;
        }
    }
    return false;
}

static bool take_fixed(const unsigned char **at, const unsigned char *end, int bytes,
                       uint64_t *value)
{
    if (end - *at < bytes)
        return false;
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value |= (uint64_t)(*at)[i] << (8 * i);
    *at += bytes;
    return true;
}

static bool take_bytes(const unsigned char **at, const unsigned char *end,
                       nmrt_protobuf_field *field)
{
    uint64_t n;
    if (!take_varint(at, end, &n) || n > (uint64_t)(end - *at))
        return false;
    field->bytes = *at;
    field->n = (size_t)n;
    *at += n;
    return true;
}

static bool take_value(const unsigned char **at, const unsigned char *end,
                       nmrt_protobuf_field *field)
{
    switch (field->wire) {
    case NMRT_PROTOBUF_VARINT: return take_varint(at, end, &field->value);
    case NMRT_PROTOBUF_FIXED64: return take_fixed(at, end, 8, &field->value);
    case NMRT_PROTOBUF_BYTES: return take_bytes(at, end, field);
    case NMRT_PROTOBUF_FIXED32: return take_fixed(at, end, 4, &field->value);
    }
    return false; // groups, which no proto2 file of today has
}

bool nmrt_protobuf_next(nmrt_protobuf *message, nmrt_protobuf_field *field)
{
    const unsigned char *at = message->at;
    uint64_t tag;
    *field = (nmrt_protobuf_field){0};
    if (message->damaged || at == message->end)
        return false;
    if (take_varint(&at, message->end, &tag)) {
        field->number = tag >> 3;
        field->wire = (nmrt_protobuf_wire)(tag & 7);
        if (field->number && take_value(&at, message->end, field)) {
            message->at = at;
            return true;
        }
    }
    message->damaged = true;
    return false;
}

nmrt_protobuf nmrt_protobuf_inside(const nmrt_protobuf_field *field)
{
    return (nmrt_protobuf){.at = field->bytes, .end = field->bytes + field->n};
}
