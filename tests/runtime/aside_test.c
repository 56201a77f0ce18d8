// What is written aside: whose .part it is, what a rename may replace, and what a kill leaves of a
// folder where the file system cannot exchange two names.
#define _GNU_SOURCE
#include "tests/runtime/check.h"

#include "runtime/aside.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[] = "/tmp/aside.XXXXXX";
static char aside[NMRT_PATH];
static nmrt_error e;

static void put(const char *path) { CHECK(nmrt_file_create(path, "x", 1, &e) == NMRT_OK); }

static void test_names(void)
{
    static const char *const no_name[] = {".", "..", "/", "a/..", "a/./", ""};
    for (size_t i = 0; i < sizeof no_name / sizeof *no_name; i++)
        CHECK(nmrt_aside_folder(aside, no_name[i], &e) == NMRT_USAGE);
    CHECK(nmrt_aside_folder(aside, "out//", &e) == NMRT_OK);
    CHECK(strcmp(aside, "out.part") == 0);
}

static void test_others(void)
{
    put("out.part");
    CHECK(nmrt_aside_folder(aside, "out", &e) == NMRT_WORLD);
    CHECK(strstr(e.text, "out.part is there already") != NULL);
    CHECK(nmrt_aside_file(aside, "out", &e) == NMRT_WORLD);
    CHECK(unlink("out.part") == 0);
    put("file");
    CHECK(nmrt_aside_file(aside, "file", &e) == NMRT_OK);
    CHECK(nmrt_aside_folder(aside, "file", &e) == NMRT_USAGE);
    CHECK(nmrt_aside_file(aside, root, &e) == NMRT_USAGE);
    CHECK(nmrt_aside_file(aside, "/dev/null", &e) == NMRT_USAGE); // a rename would take its place
    CHECK(nmrt_aside_folder(aside, root, &e) == NMRT_USAGE);
}

static void test_place(void)
{
    const char *empty = "above/empty";
    CHECK(nmrt_dir_make(empty, &e) == NMRT_OK);
    CHECK(nmrt_aside_folder(aside, empty, &e) == NMRT_OK);
    CHECK(nmrt_aside_make(aside, &e) == NMRT_OK);
    CHECK(nmrt_aside_make(aside, &e) == NMRT_WORLD); // another's
    put("above/empty.part/whole");
    CHECK(nmrt_aside_place(aside, empty, &e) == NMRT_OK);
    CHECK(nmrt_path_exists("above/empty/whole"));
}

static void make_both(const char *to, const char *from)
{
    char path[NMRT_PATH];
    CHECK(nmrt_dir_make(to, &e) == NMRT_OK && nmrt_dir_make(from, &e) == NMRT_OK);
    CHECK(nmrt_path_join(path, to, "old", &e) == NMRT_OK);
    put(path);
    CHECK(nmrt_path_join(path, from, "new", &e) == NMRT_OK);
    put(path);
}

static void test_replace(void)
{
    const char *to = "kept", *from = "kept.part";
    make_both(to, from);
    CHECK(nmrt_aside_replace(from, to, &e) == NMRT_OK);
    CHECK(nmrt_path_exists("kept/new") && !nmrt_path_exists("kept/old"));
    CHECK(!nmrt_path_exists(from));
}

// From now on renameat2 fails as on a file system that has no exchange.
static bool forbid_exchange(void)
{
    struct sock_filter filter[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}, // the call's number
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_renameat2},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EINVAL},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// The first of the two renames can be done, the second not: the old folder has its other name.
static void test_slow_replace(void)
{
    const char *to = "slow", *from = "slow.part";
    make_both(to, from);
    if (!forbid_exchange()) {
        printf("no seccomp here: not run without the exchange\n");
        return;
    }
    CHECK(nmrt_aside_replace("absent", to, &e) == NMRT_WORLD);
    CHECK(!nmrt_path_exists(to) && nmrt_path_exists("slow.old.part/old"));
    CHECK(nmrt_aside_replace(from, to, &e) == NMRT_OK);
    CHECK(nmrt_path_exists("slow/new") && !nmrt_path_exists("slow.old.part"));
    CHECK(nmrt_dir_make(from, &e) == NMRT_OK);
    put("slow.part/newer");
    CHECK(nmrt_aside_replace(from, to, &e) == NMRT_OK);
    CHECK(nmrt_path_exists("slow/newer") && !nmrt_path_exists("slow/new"));
    CHECK(!nmrt_path_exists("slow.old.part") && !nmrt_path_exists(from));
}

int main(void)
{
    CHECK(mkdtemp(root) != NULL && chdir(root) == 0);
    test_names();
    test_others();
    test_place();
    test_replace();
    test_slow_replace();
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) != 0 || check_result() != 0;
}
