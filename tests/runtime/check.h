// CHECK(condition): counts and prints what does not hold; a test's main returns check_result().
#ifndef NMRT_CHECK_H
#define NMRT_CHECK_H

#include <stdio.h>

static int check_failures;

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0                                                                         \
                 : (void)(check_failures++,                                                        \
                          fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition)))

static inline int check_result(void) { return check_failures != 0; }

#endif
