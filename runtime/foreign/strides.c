// The walk over both arrays. Dims that lie alike are joined first; then two dims are the inner
// ones, that along which the file's numbers are neighbours and that along which ours are, in tiles:
// where these are two dims, one array is read across, and a tile's lines stay in the cache.
#include "runtime/foreign/strides.h"

#include "runtime/foreign/convert.h"

enum { TILE = 64 };

// Drops dims of one index, and joins a dim to the one behind it where both arrays allow it.
static nmrt_strides join(const nmrt_strides *s)
{
    nmrt_strides j = {0};
    for (int k = 0; k < s->rank; k++) {
        int last = j.rank - 1;
        if (s->n[k] == 1)
            continue;
        if (last >= 0 && j.file[last] == s->n[k] * s->file[k] &&
            j.ours[last] == s->n[k] * s->ours[k])
            j.n[last] *= s->n[k];
        else
            j.n[last = j.rank++] = s->n[k];
        j.file[last] = s->file[k];
        j.ours[last] = s->ours[k];
    }
    return j;
}

// The dim with the smallest stride; -1: there is no dim.
static int nearest(int rank, const int64_t *stride)
{
    int best = -1;
    for (int k = 0; k < rank; k++)
        if (best < 0 || stride[k] < stride[best])
            best = k;
    return best;
}

static void take_out(nmrt_strides *s, int dim, int64_t *n, int64_t *file, int64_t *ours)
{
    *n = s->n[dim];
    *file = s->file[dim];
    *ours = s->ours[dim];
    s->n[dim] = 1;
}

typedef struct tiles { // of two dims: rows are along `b`, where our numbers are neighbours
    int64_t a, b;      // indices
    int64_t file_a, file_b, ours_a, ours_b;
} tiles;

typedef struct walk {
    const char *dtype;
    int64_t width;
    char *file; // read, or written
    float *ours;
    bool writes;
} walk;

// Ours are side by side in a row: a row of another layout has been split before.
static void do_row(const walk *w, int64_t file, int64_t ours, int64_t step, int64_t n)
{
    if (w->writes)
        nmrt_convert_write(w->dtype, w->file + file * w->width, step, w->ours + ours, n);
    else
        nmrt_convert_read(w->dtype, w->file + file * w->width, step, w->ours + ours, n);
}

static void do_tile(const walk *w, const tiles *t, int64_t file, int64_t ours, int64_t a, int64_t b)
{
    int64_t rows = t->a - a < TILE ? t->a - a : TILE, n = t->b - b < TILE ? t->b - b : TILE;
    for (int64_t i = a; i < a + rows; i++) {
        int64_t at_file = file + i * t->file_a + b * t->file_b,
                at_ours = ours + i * t->ours_a + b * t->ours_b;
        if (t->ours_b == 1)
            do_row(w, at_file, at_ours, t->file_b, n);
        else
            for (int64_t k = 0; k < n; k++)
                do_row(w, at_file + k * t->file_b, at_ours + k * t->ours_b, 1, 1);
    }
}

static void do_plane(const walk *w, const tiles *t, int64_t file, int64_t ours)
{
    if (t->ours_b == 1 && t->file_b == 1) { // neighbours in both: whole rows
        for (int64_t a = 0; a < t->a; a++)
            do_row(w, file + a * t->file_a, ours + a * t->ours_a, 1, t->b);
        return;
    }
    for (int64_t a = 0; a < t->a; a += TILE)
        for (int64_t b = 0; b < t->b; b += TILE)
            do_tile(w, t, file, ours, a, b);
}

static bool advance(nmrt_strides *s, int64_t *index, int64_t *file, int64_t *ours)
{
    for (int k = s->rank - 1; k >= 0; k--) {
        *file += s->file[k];
        *ours += s->ours[k];
        if (++index[k] < s->n[k])
            return true;
        *file -= s->n[k] * s->file[k];
        *ours -= s->n[k] * s->ours[k];
        index[k] = 0;
    }
    return false;
}

static void walk_all(const nmrt_strides *strides, const walk *w)
{
    nmrt_strides s = join(strides);
    tiles t = {1, 1, 0, 1, 0, 1};
    int64_t index[NMRT_MAX_RANK] = {0}, file = 0, ours = 0;
    for (int k = 0; k < strides->rank; k++)
        if (strides->n[k] < 1)
            return;
    int b = nearest(s.rank, s.ours), a = nearest(s.rank, s.file);
    if (b >= 0)
        take_out(&s, b, &t.b, &t.file_b, &t.ours_b);
    if (a >= 0 && a != b)
        take_out(&s, a, &t.a, &t.file_a, &t.ours_a);
    do
        do_plane(w, &t, file, ours);
    while (advance(&s, index, &file, &ours));
}

static walk walk_of(const char *dtype, bool writes)
{
    walk w = {.dtype = dtype, .writes = writes};
    nmrt_convert_knows(dtype, &w.width);
    return w;
}

void nmrt_strides_read(const nmrt_strides *s, const char *dtype, const void *file, float *ours)
{
    walk w = walk_of(dtype, false);
    w.file = (char *)file; // only read
    w.ours = ours;
    walk_all(s, &w);
}

void nmrt_strides_write(const nmrt_strides *s, const char *dtype, void *file, const float *ours)
{
    walk w = walk_of(dtype, true);
    w.file = file;
    w.ours = (float *)ours; // only read
    walk_all(s, &w);
}
