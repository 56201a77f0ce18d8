// The order of samples: a permutation for every size and key, another one for another key.
#include "runtime/permute.h"

#include "tests/runtime/check.h"

#include <stdlib.h>

static void test_bijective(uint64_t n, uint64_t key)
{
    unsigned char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = nmrt_permute(n, key, i);
        CHECK(k < n && !seen[k]);
        if (k < n)
            seen[k] = 1;
    }
    free(seen);
}

int main(void)
{
    for (uint64_t n = 1; n < 300; n++)
        test_bijective(n, n * 31);
    test_bijective(68818, 1234);
    int fixed = 0, same = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        fixed += nmrt_permute(10000, 1, i) == i;
        same += nmrt_permute(10000, 1, i) == nmrt_permute(10000, 2, i);
    }
    CHECK(fixed < 10 && same < 10); // about one each, by chance
    CHECK(nmrt_permute((uint64_t)1 << 40, 5, 12345) < (uint64_t)1 << 40);
    return check_result();
}
