// A log's file is whole in the end, whenever the disk was full meanwhile: what it did not take then
// is written before what came later, and a row that was cut goes on where it was cut.
#include "runtime/log.h"

#include "tests/runtime/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROWS = 100 };

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_FSIZE, &limit));
    limit.rlim_cur = bytes;
    CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
}

// Adds row i; was it told that the disk is full?
static int add_row(nmrt_log *log, int i)
{
    nmrt_error e = {.text = ""};
    char row[32];
    int n = snprintf(row, sizeof row, "row %03d\n", i);
    nmrt_status status = nmrt_log_add(log, row, (size_t)n, &e);
    CHECK(status == NMRT_OK || strstr(e.text, "kept in memory"));
    return status != NMRT_OK;
}

static void check_rows(const char *path, int n)
{
    nmrt_map map;
    nmrt_error e;
    char want[ROWS * 16];
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(want + at, sizeof want - at, "row %03d\n", i);
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK && map.n == at && !memcmp(map.at, want, at));
    nmrt_map_close(&map);
}

// Full for the rows of [from, to).
static void test_full(nmrt_log *log, int from, int to)
{
    nmrt_error e;
    int told = 0;
    CHECK(nmrt_log_open(log, &e) == NMRT_OK);
    for (int i = 0; i < ROWS; i++) {
        limit_files(i >= from && i < to ? (rlim_t)(8 * from + 3) : RLIM_INFINITY);
        told += add_row(log, i);
    }
    CHECK(told == 1);
    CHECK(nmrt_log_end(log, &e) == NMRT_OK && nmrt_log_sync(log, &e) == NMRT_OK);
    check_rows(log->path, ROWS);
    nmrt_log_close(log);
    unlink(log->path);
}

// Full to the end: what is lost is said.
static void test_lost(nmrt_log *log)
{
    nmrt_error e;
    CHECK(nmrt_log_open(log, &e) == NMRT_OK);
    limit_files(10);
    CHECK(!add_row(log, 0) && add_row(log, 1) && !add_row(log, 2));
    CHECK(nmrt_log_end(log, &e) == NMRT_WORLD && strstr(e.text, "its last 14 bytes are lost"));
    limit_files(RLIM_INFINITY);
    nmrt_log_close(log);
    unlink(log->path);
}

int main(void)
{
    nmrt_log log = {.fd = -1};
    char folder[] = "/tmp/nemocc-log-XXXXXX";
    signal(SIGXFSZ, SIG_IGN);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(log.path, sizeof log.path, "%s/log", folder);
    test_full(&log, 5, 6);
    test_full(&log, 20, 90);
    test_lost(&log);
    rmdir(folder);
    return check_result();
}
