// "did you mean": optimal string alignment distance (insertions, deletions, substitutions and swaps
// of neighbours each cost one), by dynamic programming over three rows.
#include "base/diag.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 64 }; // longer words are not misspelt but something else

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

static unsigned distance(const char *a, size_t n, const char *b, size_t k)
{
    unsigned row[3][LONGEST + 1];
    unsigned *before = row[0], *prev = row[1], *cur = row[2];
    for (size_t j = 0; j <= k; j++)
        prev[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= k; j++) {
            cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < cur[j])
                cur[j] = before[j - 2] + 1;
        }
        unsigned *t = before;
        before = prev, prev = cur, cur = t;
    }
    return prev[k];
}

// How far apart, or a large number if they are not alike. One word that begins with the other
// (epsilon, eps) is near, but a misspelling is nearer.
static unsigned difference(const char *word, const char *candidate)
{
    size_t n = strlen(word), k = strlen(candidate), least = n < k ? n : k;
    if (!least || n > LONGEST || k > LONGEST)
        return 1000;
    unsigned allowed = n < 3 ? 1 : (unsigned)(n + 2) / 3, d = distance(word, n, candidate, k);
    if (d <= allowed && d < (n > k ? n : k))
        return d;
    return least >= 3 && !strncmp(word, candidate, least) ? 100 : 1000;
}

const char *nm_nearest(const char *word, const char *const *candidate, size_t n)
{
    const char *best = NULL;
    unsigned least = 1000;
    for (size_t i = 0; i < n; i++) {
        unsigned d = difference(word, candidate[i]);
        if (d < least)
            least = d, best = candidate[i];
    }
    return best;
}
