// Boxes: what a set of them covers, and how one is walked inside two arrays.
#include "runtime/pieces.h"

#include "tests/runtime/check.h"

#include <string.h>

static const nmrt_box whole = {2, {0, 0}, {6, 8}};

static bool says(const nmrt_box *box, int n, const char *message)
{
    nmrt_error e = {.text = ""};
    return nmrt_boxes_check(&whole, box, n, "w", &e) == NMRT_CORRUPT && strstr(e.text, message);
}

static void test_cover(void)
{
    nmrt_error e;
    const nmrt_box four[] = {
        {2, {0, 0}, {4, 3}}, {2, {0, 3}, {4, 5}}, {2, {4, 0}, {2, 8}}, {2, {3, 2}, {2, 2}}};
    const nmrt_box scalar = {0, {0}, {0}};
    CHECK(nmrt_boxes_check(&whole, &whole, 1, "w", &e) == NMRT_OK);
    CHECK(nmrt_boxes_check(&whole, four, 3, "w", &e) == NMRT_OK);
    CHECK(says(four, 2, "w[4, 0] is in no piece"));
    CHECK(says(four + 1, 2, "w[0, 0] is in no piece"));
    CHECK(says(four, 4, "w[3, 2] is in two pieces"));
    CHECK(says(NULL, 0, "w[0, 0] is in no piece"));
    CHECK(says(&(nmrt_box){2, {0, 0}, {7, 8}}, 1, "does not lie in it"));
    CHECK(says(&(nmrt_box){2, {-1, 0}, {6, 8}}, 1, "does not lie in it"));
    CHECK(says(&(nmrt_box){2, {INT64_MAX, 0}, {6, 8}}, 1, "does not lie in it"));
    CHECK(nmrt_boxes_check(&scalar, &scalar, 1, "s", &e) == NMRT_OK);
    CHECK(nmrt_boxes_check(&scalar, NULL, 0, "s", &e) == NMRT_CORRUPT);
    CHECK(nmrt_boxes_check(&scalar, (nmrt_box[2]){scalar, scalar}, 2, "s", &e) == NMRT_CORRUPT);
}

static void test_meet(void)
{
    nmrt_box both;
    CHECK(nmrt_box_meet(&whole, &(nmrt_box){2, {4, 6}, {9, 9}}, &both));
    CHECK(both.from[0] == 4 && both.n[0] == 2 && both.from[1] == 6 && both.n[1] == 2);
    CHECK(!nmrt_box_meet(&whole, &(nmrt_box){2, {6, 0}, {1, 8}}, &both));
}

// A box of a [3, 4, 5] array at [1, 0, 2] copied to one of [4, 4, 6] at [0, 0, 3].
static void test_rows(void)
{
    const int64_t n[] = {2, 4, 3}, a_shape[] = {3, 4, 5}, a_from[] = {1, 0, 2},
                  b_shape[] = {4, 4, 6}, b_from[] = {0, 0, 3};
    int rows = 0;
    for (nmrt_rows r =
             nmrt_rows_of(3, n, (nmrt_view){a_shape, a_from}, (nmrt_view){b_shape, b_from});
         nmrt_rows_next(&r); rows++) {
        int i = rows / 4, k = rows % 4;
        CHECK(r.n == 3 && r.a == (1 + i) * 20 + k * 5 + 2 && r.b == i * 24 + k * 6 + 3);
    }
    CHECK(rows == 8);
}

// Whole inner dims are one run.
static void test_joined_rows(void)
{
    const int64_t n[] = {2, 4, 5}, a_shape[] = {3, 4, 5}, a_from[] = {1, 0, 0},
                  b_from[] = {0, 0, 0};
    nmrt_rows r = nmrt_rows_of(3, n, (nmrt_view){a_shape, a_from}, (nmrt_view){n, b_from});
    CHECK(nmrt_rows_next(&r) && r.n == 40 && r.a == 20 && r.b == 0);
    CHECK(!nmrt_rows_next(&r));
    r = nmrt_rows_of(0, NULL, (nmrt_view){0}, (nmrt_view){0});
    CHECK(nmrt_rows_next(&r) && r.n == 1);
    CHECK(!nmrt_rows_next(&r));
}

int main(void)
{
    test_cover();
    test_meet();
    test_rows();
    test_joined_rows();
    return check_result();
}
