// The parts of a split. Where one ends is a sum of shares from the left, rounded to even.
#include "runtime/corpus/split.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"train", "valid", "test", "all"};

bool nmrt_split_parse(nmrt_split *s, const char *text)
{
    double all = 0;
    *s = (nmrt_split){0};
    for (int i = 0; i < NMRT_PART_ALL; i++) {
        char *end;
        double x = strtod(text, &end);
        if (end == text || isspace((unsigned char)*text) || !isfinite(x) || x < 0)
            return false;
        s->share[i] = x;
        all += x;
        text = end + (*end == ',');
        if (!*end)
            break;
        if (*end != ',' || i + 1 == NMRT_PART_ALL)
            return false;
    }
    if (all <= 0 || !isfinite(all))
        return false;
    for (int i = 0; i < NMRT_PART_ALL; i++)
        s->share[i] /= all;
    return true;
}

nmrt_range nmrt_split_range(const nmrt_split *s, nmrt_split_part part, int64_t documents)
{
    if (part == NMRT_PART_ALL)
        return (nmrt_range){0, documents};
    double begin = 0;
    for (int i = 0; i < (int)part; i++)
        begin += s->share[i];
    int64_t first = (int64_t)rint(begin * (double)documents),
            end = (int64_t)rint((begin + s->share[part]) * (double)documents);
    return (nmrt_range){first, end - first};
}

nmrt_split_part nmrt_split_part_find(const char *name)
{
    for (int i = 0; i < NMRT_PART_ALL; i++)
        if (strcmp(name, names[i]) == 0)
            return (nmrt_split_part)i;
    return NMRT_PART_ALL;
}

const char *nmrt_split_part_name(nmrt_split_part part) { return names[part]; }
