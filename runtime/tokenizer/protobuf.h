// A reader of the protocol buffers' wire format (protobuf.dev/programming-guides/encoding) for
// files that may be damaged: field after field, never beyond the message's end, without a schema.
#ifndef NMRT_TOKENIZER_PROTOBUF_H
#define NMRT_TOKENIZER_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NMRT_PROTOBUF_VARINT = 0,
    NMRT_PROTOBUF_FIXED64 = 1,
    NMRT_PROTOBUF_BYTES = 2, // a string, bytes or a message inside
    NMRT_PROTOBUF_FIXED32 = 5,
} nmrt_protobuf_wire;

typedef struct nmrt_protobuf { // a message that is being read
    const unsigned char *at, *end;
    bool damaged; // `at` is where a field was expected and none is
} nmrt_protobuf;

typedef struct nmrt_protobuf_field {
    uint64_t number;
    nmrt_protobuf_wire wire;
    uint64_t value;             // of a number
    const unsigned char *bytes; // of NMRT_PROTOBUF_BYTES: n of them, in the message
    size_t n;
} nmrt_protobuf_field;

// The next field. false: the message has ended, or is damaged.
bool nmrt_protobuf_next(nmrt_protobuf *message, nmrt_protobuf_field *field);
// The message inside a field of bytes.
nmrt_protobuf nmrt_protobuf_inside(const nmrt_protobuf_field *field);

#endif
