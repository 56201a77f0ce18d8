// Rows and threads: see team.h.
#include "ir/team.h"

enum {
    LONGEST_OF_WARP = 1024, // elements of a row that a warp does
    MOST_OF_THREAD = 128,   // numbers that are kept: half of the registers of a thread
    MOST_OF_BLOCK = 32768,  // and of all of them
};

// All have as many, in whole runs: what does not divide is a loop.
static bool keeps(int threads, nm_row_shape row)
{
    int64_t n = row.length, each = n / threads, wide = row.wide ? row.wide : 1;
    int run = n % NM_GPU_RUN ? 1 : NM_GPU_RUN;
    return n > 0 && n % ((int64_t)threads * run) == 0 && each <= NM_GPU_KEEPS &&
           each * wide <= MOST_OF_THREAD && n * wide <= MOST_OF_BLOCK;
}

// A run for each thread, or a bit more; fewer threads where that many keep no row.
static int threads_of_warp(nm_row_shape row)
{
    int most = 1;
    while (most < NM_GPU_WARP && most * NM_GPU_RUN < row.length)
        most *= 2;
    for (int threads = most; 4 * threads >= most && threads > 0; threads /= 2)
        if (keeps(threads, row))
            return threads;
    return most;
}

int nm_row_threads(nm_row_shape row)
{
    static const int blocks[] = {256, 512, 128, 1024, 64};
    row.wide = row.exact ? 1 : row.wide;
    if (row.length > 0 && row.length <= LONGEST_OF_WARP)
        return threads_of_warp(row);
    for (int i = 0; i < (int)(sizeof blocks / sizeof *blocks); i++)
        if (keeps(blocks[i], row))
            return blocks[i];
    return blocks[0];
}

bool nm_row_is_kept(nm_row_shape row) { return keeps(nm_row_threads(row), row); }
