// Reading Megatron's indexed data sets. All of the index is checked when it is opened, so that
// nothing needs to be checked where tokens are read.
#include "runtime/corpus/indexed.h"

#include <string.h>

// --- types of tokens -----------------------------------------------------------------------------

typedef struct type_row {
    const char *name;
    int bytes;
    int64_t max;
} type_row;

static const type_row types[] = {
    [NMRT_TOKEN_uint8] = {"uint8", 1, UINT8_MAX}, [NMRT_TOKEN_int8] = {"int8", 1, INT8_MAX},
    [NMRT_TOKEN_int16] = {"int16", 2, INT16_MAX}, [NMRT_TOKEN_int32] = {"int32", 4, INT32_MAX},
    [NMRT_TOKEN_int64] = {"int64", 8, INT64_MAX}, [NMRT_TOKEN_float64] = {"float64", 8, 0},
    [NMRT_TOKEN_float32] = {"float32", 4, 0},     [NMRT_TOKEN_uint16] = {"uint16", 2, UINT16_MAX},
};
enum { N_TYPES = sizeof types / sizeof *types };

static const type_row *row_of(nmrt_token_type type)
{
    static const type_row none = {"no type", 0, 0};
    return type > 0 && (int)type < N_TYPES ? &types[type] : &none;
}

const char *nmrt_token_type_name(nmrt_token_type type) { return row_of(type)->name; }
int nmrt_token_type_bytes(nmrt_token_type type) { return row_of(type)->bytes; }
int64_t nmrt_token_type_max(nmrt_token_type type) { return row_of(type)->max; }

nmrt_token_type nmrt_token_type_find(const char *name)
{
    for (int i = 1; i < N_TYPES; i++)
        if (strcmp(types[i].name, name) == 0)
            return (nmrt_token_type)i;
    return 0;
}

nmrt_token_type nmrt_token_type_for(int64_t vocabulary)
{
    return vocabulary < 65500 ? NMRT_TOKEN_uint16 : NMRT_TOKEN_int32;
}

// --- numbers that are not aligned ----------------------------------------------------------------

static int32_t load_i32(const unsigned char *at, int64_t i)
{
    int32_t x;
    memcpy(&x, at + 4 * i, 4);
    return x;
}

static int64_t load_i64(const unsigned char *at, int64_t i)
{
    int64_t x;
    memcpy(&x, at + 8 * i, 8);
    return x;
}

int64_t nmrt_indexed_length(const nmrt_indexed *set, int64_t sequence)
{
    return load_i32(set->length, sequence);
}

int64_t nmrt_indexed_first(const nmrt_indexed *set, int64_t document)
{
    return load_i64(set->first, document);
}

// --- checks --------------------------------------------------------------------------------------

enum { HEADER = 34, MAGIC = 9 };

static nmrt_status check_type(const nmrt_indexed *set, nmrt_error *e)
{
    if (!nmrt_token_type_bytes(set->type))
        return nmrt_fail(e, NMRT_CORRUPT, "byte 17 says dtype %d, which does not exist",
                         (int)set->type);
    if (!nmrt_token_type_max(set->type))
        return nmrt_fail(e, NMRT_FOREIGN, "it holds %s, which are no tokens",
                         nmrt_token_type_name(set->type));
    return NMRT_OK;
}

// Where the arrays lie, if S and D, which may be any numbers, are those of a file of this size.
static nmrt_status place_arrays(nmrt_indexed *set, nmrt_error *e)
{
    uint64_t sequences = (uint64_t)load_i64(set->idx.at + 18, 0),
             entries = (uint64_t)load_i64(set->idx.at + 26, 0), room = set->idx.n - HEADER;
    if (sequences > room / 12 || entries > (room - 12 * sequences) / 8)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "it ends too early: %llu sequences and %llu entries of documents do not "
                         "fit into %zu bytes",
                         (unsigned long long)sequences, (unsigned long long)entries, set->idx.n);
    uint64_t rest = room - 12 * sequences - 8 * entries;
    if (rest != 0 && rest != sequences)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%llu bytes follow on its arrays, where modes of %llu sequences may be",
                         (unsigned long long)rest, (unsigned long long)sequences);
    if (!entries)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "its list of documents is empty: it lacks the last entry");
    set->n_sequences = (int64_t)sequences;
    set->n_documents = (int64_t)entries - 1;
    set->length = set->idx.at + HEADER;
    set->offset = set->length + 4 * sequences;
    set->first = set->offset + 8 * sequences;
    return NMRT_OK;
}

static nmrt_status check_sequences(nmrt_indexed *set, nmrt_error *e)
{
    int64_t bytes = nmrt_token_type_bytes(set->type), bin = (int64_t)set->bin.n;
    for (int64_t i = 0; i < set->n_sequences; i++) {
        int64_t n = load_i32(set->length, i), at = load_i64(set->offset, i);
        if (n < 0 || at < 0 || at > bin || n * bytes > bin - at)
            return nmrt_fail(e, NMRT_CORRUPT,
                             "sequence %lld, %lld tokens of %lld bytes from byte %lld on, does not "
                             "lie in the .bin of %lld bytes",
                             (long long)i, (long long)n, (long long)bytes, (long long)at,
                             (long long)bin);
        set->n_tokens += n;
    }
    return NMRT_OK;
}

static nmrt_status check_documents(const nmrt_indexed *set, nmrt_error *e)
{
    int64_t before = 0;
    for (int64_t i = 0; i <= set->n_documents; i++) {
        int64_t first = nmrt_indexed_first(set, i);
        if (first < before || first > set->n_sequences || (i == 0 && first != 0))
            return nmrt_fail(e, NMRT_CORRUPT,
                             "document %lld is said to start with sequence %lld, of %lld",
                             (long long)i, (long long)first, (long long)set->n_sequences);
        before = first;
    }
    if (before != set->n_sequences)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "its documents end with sequence %lld, and there are %lld",
                         (long long)before, (long long)set->n_sequences);
    return NMRT_OK;
}

nmrt_status nmrt_indexed_parse(nmrt_indexed *set, nmrt_map idx, nmrt_map bin, nmrt_error *e)
{
    *set = (nmrt_indexed){.idx = idx, .bin = bin};
    if (idx.n < HEADER || memcmp(idx.at, "MMIDIDX\0", MAGIC) != 0)
        return nmrt_fail(e, NMRT_FOREIGN,
                         "it is no index of Megatron's: it does not start with MMIDIDX");
    if (load_i64(idx.at + MAGIC, 0) != 1)
        return nmrt_fail(e, NMRT_FOREIGN, "it is of version %lld, and version 1 is known",
                         (long long)load_i64(idx.at + MAGIC, 0));
    set->type = (nmrt_token_type)idx.at[17];
    NMRT_TRY(check_type(set, e));
    NMRT_TRY(place_arrays(set, e));
    NMRT_TRY(check_sequences(set, e));
    return check_documents(set, e);
}

// --- files ---------------------------------------------------------------------------------------

nmrt_status nmrt_indexed_open(nmrt_indexed *set, const char *name, nmrt_error *e)
{
    char prefix[NMRT_PATH], path[NMRT_PATH];
    nmrt_error why;
    nmrt_map idx = {0}, bin = {0};
    *set = (nmrt_indexed){0};
    NMRT_TRY(nmrt_indexed_prefix(prefix, name, e));
    NMRT_TRY(nmrt_path_append(path, prefix, ".bin", e));
    NMRT_TRY(nmrt_map_open(&bin, path, e));
    nmrt_path_append(path, prefix, ".idx", e); // as long
    nmrt_status status = nmrt_map_open(&idx, path, e);
    if (status == NMRT_OK) {
        status = nmrt_indexed_parse(set, idx, bin, &why);
        if (status != NMRT_OK)
            nmrt_fail(e, status, "%s cannot be read: %s", path, why.text);
    }
    if (status != NMRT_OK) {
        nmrt_map_close(&idx);
        nmrt_map_close(&bin);
        *set = (nmrt_indexed){0};
    }
    return status;
}

void nmrt_indexed_close(nmrt_indexed *set)
{
    nmrt_map_close(&set->idx);
    nmrt_map_close(&set->bin);
    *set = (nmrt_indexed){0};
}

static bool has_file(const char *prefix, const char *suffix)
{
    char path[NMRT_PATH];
    nmrt_error e;
    return nmrt_path_append(path, prefix, suffix, &e) == NMRT_OK && nmrt_path_exists(path);
}

bool nmrt_indexed_exists(const char *prefix)
{
    return has_file(prefix, ".idx") || has_file(prefix, ".bin");
}

bool nmrt_indexed_is_file(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && (strcmp(path + n - 4, ".idx") == 0 || strcmp(path + n - 4, ".bin") == 0);
}

nmrt_status nmrt_indexed_prefix(char prefix[NMRT_PATH], const char *path, nmrt_error *e)
{
    NMRT_TRY(nmrt_path_append(prefix, path, "", e));
    if (nmrt_indexed_is_file(path) && !nmrt_indexed_exists(path))
        prefix[strlen(path) - 4] = 0;
    return NMRT_OK;
}

// --- tokens --------------------------------------------------------------------------------------

#define READ(type)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type x;                                                                                    \
        memcpy(&x, at + i * (int64_t)sizeof x, sizeof x);                                          \
        out[i] = (int32_t)x;                                                                       \
    }                                                                                              \
    break

void nmrt_token_type_widen(nmrt_token_type type, const unsigned char *at, int64_t n, int32_t *out)
{
    switch (type) {
    case NMRT_TOKEN_uint8: READ(uint8_t);
    case NMRT_TOKEN_int8: READ(int8_t);
    case NMRT_TOKEN_int16: READ(int16_t);
    case NMRT_TOKEN_uint16: READ(uint16_t);
    case NMRT_TOKEN_int32: READ(int32_t);
    case NMRT_TOKEN_int64:
        for (int64_t i = 0; i < n; i++) {
            int64_t x = load_i64(at, i);
            out[i] = x < INT32_MIN || x > INT32_MAX ? -1 : (int32_t)x;
        }
        break;
    case NMRT_TOKEN_float64:
    case NMRT_TOKEN_float32: break; // refused when a set is opened
    }
}

int64_t nmrt_indexed_offset(const nmrt_indexed *set, int64_t sequence)
{
    return load_i64(set->offset, sequence);
}

void nmrt_indexed_read(const nmrt_indexed *set, int64_t sequence, int64_t from, int64_t n,
                       int32_t *out)
{
    int64_t size = nmrt_token_type_bytes(set->type);
    if (n) // else .bin may be empty, and nowhere
        nmrt_token_type_widen(
            set->type, set->bin.at + nmrt_indexed_offset(set, sequence) + from * size, n, out);
}
