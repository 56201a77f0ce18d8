// Walks of darts-clone's double array, with every step checked: a damaged one matches less.
#include "runtime/tokenizer/charsmap.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_MATCHES = 32 }; // SentencePiece looks at that many prefixes of a text, the shortest ones

// A unit: bits 0 to 7 its byte, 8 whether a value hangs below, 9 and 10 to 31 where its children
// are; or, of a value, bits 0 to 30. Bit 31 is a value's, so that no byte equals it.
static uint32_t label(uint32_t unit) { return unit & (1u << 31 | 0xFF); }
static bool has_value(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }
static uint32_t value(uint32_t unit) { return unit & ((1u << 31) - 1); }

static uint32_t little_endian(const unsigned char *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

nmrt_status nmrt_charsmap_open(nmrt_charsmap *map, const void *blob, size_t n, nmrt_error *e)
{
    const unsigned char *at = blob;
    *map = (nmrt_charsmap){0};
    if (!n)
        return NMRT_OK;
    uint32_t bytes = n > 4 ? little_endian(at) : 0;
    if (bytes < 4 || bytes % 4 || bytes >= n - 4)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the table of characters has %zu bytes, its tree is said to have %u", n,
                         bytes);
    map->n_unit = bytes / 4;
    map->n_text = n - 4 - bytes;
    map->unit = malloc(bytes);
    map->text = malloc(map->n_text + 1);
    if (!map->unit || !map->text) {
        nmrt_charsmap_release(map);
        return nmrt_fail(e, NMRT_WORLD, "no memory for a table of characters");
    }
    for (uint32_t i = 0; i < map->n_unit; i++)
        map->unit[i] = little_endian(at + 4 + (size_t)i * 4);
    memcpy(map->text, at + 4 + bytes, map->n_text);
    map->text[map->n_text] = 0;
    return NMRT_OK;
}

void nmrt_charsmap_release(nmrt_charsmap *map)
{
    free(map->unit);
    free(map->text);
    *map = (nmrt_charsmap){0};
}

typedef struct walk { // down the tree: at `node` after `depth` bytes
    const nmrt_charsmap *map;
    uint32_t node;
    size_t depth;
} walk;

// To the next prefix of the text that the table has; its value in *at.
static bool walk_on(walk *w, const char *text, size_t n, uint32_t *at)
{
    const nmrt_charsmap *map = w->map;
    while (w->depth < n) {
        unsigned char byte = (unsigned char)text[w->depth];
        w->node ^= byte;
        if (w->node >= map->n_unit || label(map->unit[w->node]) != byte)
            return false;
        uint32_t unit = map->unit[w->node];
        w->node ^= offset(unit);
        w->depth++;
        if (has_value(unit) && w->node < map->n_unit) {
            *at = value(map->unit[w->node]);
            return *at < map->n_text;
        }
    }
    return false;
}

static walk walk_from_root(const nmrt_charsmap *map)
{
    return (walk){.map = map, .node = map->n_unit ? offset(map->unit[0]) : 0};
}

nmrt_charsmap_match nmrt_charsmap_longest(const nmrt_charsmap *map, const char *text, size_t n)
{
    nmrt_charsmap_match match = {0};
    walk w = walk_from_root(map);
    uint32_t at;
    for (int i = 0; i < MAX_MATCHES && walk_on(&w, text, n, &at); i++)
        match = (nmrt_charsmap_match){w.depth, map->text + at};
    return match;
}

nmrt_charsmap_match nmrt_charsmap_shortest(const nmrt_charsmap *map, const char *text, size_t n)
{
    nmrt_charsmap_match match = {0};
    walk w = walk_from_root(map);
    uint32_t at;
    if (walk_on(&w, text, n, &at))
        match = (nmrt_charsmap_match){w.depth, map->text + at};
    return match;
}
