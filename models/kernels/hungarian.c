// The assignment of rows to columns of largest total gain (Kuhn 1955; in the form of Jonker and
// Volgenant 1987: a shortest augmenting path for each row, with potentials that keep all costs
// at least 0). n^3 steps of one lane: n is a number of speakers.
#include "nemocc/op.h"

typedef struct matching { // rows and columns are numbered from 1; 0 is nobody
    const float *gain;    // [n, n]
    int64_t n;
    float *of_row, *of_column; // potentials
    float *row;                // that has the column
    float *way;                // the column before it on the path
    float *least, *seen;       // of a column: the shortest way to it; 1: it is on the tree
} matching;

static float cost(const matching *m, int64_t i, int64_t j)
{
    return -m->gain[(i - 1) * m->n + j - 1] - m->of_row[i] - m->of_column[j];
}

// Adds column j to the tree and finds the nearest one that is not in it.
static int64_t grow(matching *m, int64_t j)
{
    int64_t i = (int64_t)m->row[j], next = 0;
    float delta = 0;
    m->seen[j] = 1;
    for (int64_t k = 1; k <= m->n; k++) {
        if (m->seen[k] != 0)
            continue;
        float c = cost(m, i, k);
        if (m->way[k] < 0 || c < m->least[k]) {
            m->least[k] = c;
            m->way[k] = (float)j;
        }
        if (!next || m->least[k] < delta) {
            delta = m->least[k];
            next = k;
        }
    }
    for (int64_t k = 0; k <= m->n; k++)
        if (m->seen[k] != 0) {
            m->of_row[(int64_t)m->row[k]] += delta;
            m->of_column[k] -= delta;
        } else {
            m->least[k] -= delta;
        }
    return next;
}

static void add_row(matching *m, int64_t i)
{
    int64_t j = 0;
    for (int64_t k = 0; k <= m->n; k++) {
        m->seen[k] = 0;
        m->way[k] = -1;
    }
    m->row[0] = (float)i;
    do
        j = grow(m, j);
    while (m->row[j] != 0);
    for (int64_t before; j; j = before) {
        before = (int64_t)m->way[j];
        m->row[j] = m->row[before];
    }
}

static void assign_one(matching *m, int32_t *column)
{
    for (int64_t k = 0; k <= m->n; k++)
        m->of_row[k] = m->of_column[k] = m->row[k] = 0;
    for (int64_t i = 1; i <= m->n; i++)
        add_row(m, i);
    for (int64_t j = 1; j <= m->n; j++)
        column[(int64_t)m->row[j] - 1] = (int32_t)(j - 1);
}

void assign(const float *gain, int32_t *column, float *work, int64_t batch, int64_t speakers,
            int64_t other, int64_t size)
{
    int64_t n = speakers;
    for (int64_t b = 0; b < batch && op_lane() == 0; b++) {
        float *w = work + b * size;
        matching m = {.gain = gain + b * n * other,
                      .n = n,
                      .of_row = w,
                      .of_column = w + (n + 1),
                      .row = w + 2 * (n + 1),
                      .way = w + 3 * (n + 1),
                      .least = w + 4 * (n + 1),
                      .seen = w + 5 * (n + 1)};
        assign_one(&m, column + b * n);
    }
}
