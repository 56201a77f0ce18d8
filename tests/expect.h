// EXPECT(condition): prints file:line and what failed; main returns expect_failed.
#ifndef NM_TESTS_EXPECT_H
#define NM_TESTS_EXPECT_H

#include <stdbool.h>
#include <stdio.h>

static int expect_failed;

static inline void expect(bool ok, const char *file, int line, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    expect_failed = 1;
}

#define EXPECT(condition) expect(condition, __FILE__, __LINE__, #condition)

#endif
