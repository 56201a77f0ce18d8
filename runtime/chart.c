// The loss curve as text. Each column is the mean of its share of the steps; a braille character
// has 2 x 4 dots (Unicode U+2800), a plain one is a star.
#include "runtime/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 10, DOTS_X = 2, DOTS_Y = 4, MAX_COLUMNS = WIDTH * DOTS_X };

void nmrt_curve_add(nmrt_curve *c, double loss)
{
    if (c->n == c->cap) {
        int64_t cap = c->cap ? c->cap * 2 : 1024;
        float *more = realloc(c->loss, (size_t)cap * sizeof *more);
        if (!more)
            return;
        c->loss = more;
        c->cap = cap;
    }
    c->loss[c->n++] = (float)loss;
}

void nmrt_curve_release(nmrt_curve *c)
{
    free(c->loss);
    *c = (nmrt_curve){0};
}

typedef struct grid {
    unsigned char dots[HEIGHT][WIDTH]; // bits of a braille character, or any: a star
    double low, high;
} grid;

static double column_mean(const nmrt_curve *c, int columns, int i)
{
    int64_t from = c->n * i / columns, to = c->n * (i + 1) / columns;
    double sum = 0;
    for (int64_t k = from; k < to; k++)
        sum += (double)c->loss[k];
    return sum / (double)(to - from);
}

static void set_dot(grid *g, int x, int y, bool unicode)
{
    static const unsigned char bit[DOTS_Y][DOTS_X] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (unicode)
        g->dots[y / DOTS_Y][x / DOTS_X] |= bit[y % DOTS_Y][x % DOTS_X];
    else
        g->dots[y][x] = 1;
}

static void draw(grid *g, const double *mean, int columns, bool unicode)
{
    int height = unicode ? HEIGHT * DOTS_Y : HEIGHT, last = -1;
    double range = g->high > g->low ? g->high - g->low : 1;
    for (int x = 0; x < columns; x++) {
        int y = (int)lround((g->high - mean[x]) / range * (height - 1));
        int step = last < 0 || y == last ? y : last + (y > last ? 1 : -1);
        for (int k = step;; k += y > k ? 1 : -1) { // a line from the last dot to this one
            set_dot(g, x, k, unicode);
            if (k == y)
                break;
        }
        last = y;
    }
}

static void add_cell(nmrt_text *out, unsigned char dots, bool unicode)
{
    if (!unicode)
        nmrt_text_add(out, dots ? "*" : " ");
    else
        nmrt_text_add(out, "\xE2%c%c", 0xA0 + (dots >> 6), 0x80 + (dots & 0x3F));
}

void nmrt_curve_print(const nmrt_curve *c, bool unicode, nmrt_text *out)
{
    double mean[MAX_COLUMNS];
    grid g = {.low = INFINITY, .high = -INFINITY};
    int columns = unicode ? MAX_COLUMNS : WIDTH;
    if (c->n < 2)
        return;
    if (columns > c->n)
        columns = (int)c->n;
    for (int i = 0; i < columns; i++) {
        mean[i] = column_mean(c, columns, i);
        g.low = fmin(g.low, mean[i]);
        g.high = fmax(g.high, mean[i]);
    }
    draw(&g, mean, columns, unicode);
    int width = unicode ? (columns + DOTS_X - 1) / DOTS_X : columns;
    for (int y = 0; y < HEIGHT; y++) {
        if (y == 0 || y == HEIGHT - 1)
            nmrt_text_add(out, "%8.3f |", y ? g.low : g.high);
        else
            nmrt_text_add(out, y == HEIGHT / 2 ? "    loss |" : "         |");
        for (int x = 0; x < width; x++)
            add_cell(out, g.dots[y][x], unicode);
        nmrt_text_add(out, "\n");
    }
    nmrt_text_add(out, "         +");
    for (int x = 0; x < width; x++)
        nmrt_text_add(out, "-");
    nmrt_text_add(out, "\n          step 1%*lld\n", width > 7 ? width - 6 : 2, (long long)c->n);
}
