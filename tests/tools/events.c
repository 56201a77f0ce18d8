// Prints a TensorBoard event file: a line a record. Its own reading of TFRecords and protobuf, so
// that the writer is compared with the formats and not with itself. Fails where a checksum or a
// field is wrong.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct view {
    const unsigned char *at;
    size_t n;
} view;

static void fail(const char *what)
{
    printf("events: %s\n", what);
    exit(1);
}

// By polynomial division of the bits in their order on the wire, not by a table or a shift of
// bytes.
static uint32_t crc32c(view v)
{
    uint64_t rest = 0xFFFFFFFF;
    for (size_t i = 0; i < v.n * 8; i++) {
        unsigned in = v.at[i / 8] >> i % 8 & 1, out = rest >> 31 & 1;
        rest = rest << 1 & 0xFFFFFFFF;
        if (in != out)
            rest ^= 0x1EDC6F41;
    }
    uint32_t crc = 0;
    for (int i = 0; i < 32; i++)
        crc |= (uint32_t)(rest >> i & 1) << (31 - i);
    return ~crc;
}

static view take(view *v, size_t n)
{
    if (n > v->n)
        fail("the file ends early");
    view part = {v->at, n};
    v->at += n;
    v->n -= n;
    return part;
}

static uint32_t take_u32(view *v)
{
    uint32_t x;
    memcpy(&x, take(v, 4).at, 4);
    return x;
}

static void check(view v, uint32_t masked)
{
    uint32_t turned = masked - 0xA282EAD8u, crc = turned >> 17 | turned << 15;
    if (crc != crc32c(v))
        fail("a checksum is wrong");
}

static uint64_t take_varint(view *v)
{
    uint64_t x = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        unsigned byte = take(v, 1).at[0];
        x |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return x;
    }
    fail("a number is too long");
    return 0;
}

static view take_bytes(view *v) { return take(v, take_varint(v)); }

static void print_value(view v) // Summary.Value
{
    view tag = {0};
    float x = 0;
    while (v.n) {
        uint64_t key = take_varint(&v);
        if (key == (1 << 3 | 2))
            tag = take_bytes(&v);
        else if (key == (2 << 3 | 5))
            memcpy(&x, take(&v, 4).at, 4);
        else
            fail("a value has another field");
    }
    printf(", \"%.*s\": %.8g", (int)tag.n, (const char *)tag.at, (double)x);
}

static void print_event(view v)
{
    double wall = 0;
    while (v.n) {
        uint64_t key = take_varint(&v);
        view of = {0};
        if (key == (1 << 3 | 1))
            memcpy(&wall, take(&v, 8).at, 8);
        else if (key == (2 << 3))
            printf("{\"step\": %llu", (unsigned long long)take_varint(&v));
        else
            of = take_bytes(&v);
        if (key == (3 << 3 | 2))
            printf(", version %.*s", (int)of.n, (const char *)of.at);
        else if (key == (7 << 3 | 2))
            printf(", session %d", of.n == 2 && of.at[0] == 8 ? of.at[1] : -1);
        else if (key == (5 << 3 | 2))
            while (of.n) {
                if (take_varint(&of) != (1 << 3 | 2))
                    fail("a summary has another field");
                print_value(take_bytes(&of));
            }
        else if (of.at)
            fail("an event has another field");
    }
    if (wall < 1.7e9)
        fail("the time is none");
    printf("}\n");
}

int main(int argc, char **argv)
{
    static unsigned char file[1 << 20];
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f)
        fail("give a file");
    view v = {file, fread(file, 1, sizeof file, f)};
    fclose(f);
    while (v.n) {
        view length = take(&v, 8);
        uint64_t n;
        memcpy(&n, length.at, 8);
        check(length, take_u32(&v));
        view event = take(&v, n);
        check(event, take_u32(&v));
        print_event(event);
    }
    return 0;
}
