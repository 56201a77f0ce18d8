// Packing: buffers that live together never overlap, and little more than the most alive is used.
#include "runtime/permute.h"
#include "runtime/plan.h"

#include "tests/runtime/check.h"

enum { N = 120 };

static int64_t most_alive(const int64_t *bytes, const int64_t *first, const int64_t *last)
{
    int64_t most = 0;
    for (int64_t t = 0; t < 100; t++) {
        int64_t now = 0;
        for (int i = 0; i < N; i++)
            if (first[i] <= t && t <= last[i])
                now += (bytes[i] + 63) / 64 * 64;
        most = now > most ? now : most;
    }
    return most;
}

static void test_random(uint64_t seed)
{
    int64_t bytes[N], first[N], last[N], offset[N];
    for (int i = 0; i < N; i++) {
        uint64_t r = nmrt_mix(seed * 1000 + (uint64_t)i);
        bytes[i] = (int64_t)(r % 5000);
        first[i] = (int64_t)(r >> 20) % 90;
        last[i] = first[i] + (int64_t)(r >> 40) % 10;
    }
    int64_t end = nmrt_pack(N, bytes, first, last, offset);
    for (int i = 0; i < N; i++) {
        CHECK(offset[i] >= 0 && offset[i] % 64 == 0 && offset[i] + bytes[i] <= end);
        for (int k = 0; k < i; k++) {
            int together = first[i] <= last[k] && first[k] <= last[i];
            int overlap = bytes[i] && bytes[k] && offset[i] < offset[k] + bytes[k] &&
                          offset[k] < offset[i] + bytes[i];
            CHECK(!(together && overlap));
        }
    }
    int64_t least = most_alive(bytes, first, last);
    CHECK(end >= least && end <= least + least / 4);
}

int main(void)
{
    for (uint64_t seed = 0; seed < 200; seed++)
        test_random(seed);
    CHECK(nmrt_pack(0, NULL, NULL, NULL, NULL) == 0);
    return check_result();
}
