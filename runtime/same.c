// Every rank writes its flags as text, a line each, and compares it with rank 0's. A launcher may
// start each host with a line of its own, and ranks with other numbers would train apart in
// silence.
#include "runtime/same.h"

#include "runtime/agree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// What a rank may have otherwise: its own machine's and its logs'.
static const char *const own[] = {"threads",     "log-dir",      "log-every",
                                  "tensorboard", "comm-timeout", "check-memory"};
// Paths may be others on other hosts; that they are given is the same.
static const char *const paths[] = {"data", "eval-data",  "tokenizer", "save",
                                    "init", "checkpoint", "trace",     "dump-gradients"};

static bool is_among(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

// --- the text ------------------------------------------------------------------------------------

static void print_option(const nmrt_options *o, const nmrt_option *option, nmrt_text *out)
{
    if (is_among(option->name, own, sizeof own / sizeof *own))
        return;
    nmrt_text_add(out, "--%s ", option->name);
    if (is_among(option->name, paths, sizeof paths / sizeof *paths))
        nmrt_text_add(out, "%s",
                      *(const char *const *)((const char *)o + option->at) ? "given" : "none");
    else
        nmrt_option_print_json(o, option, out);
    nmrt_text_add(out, "\n");
}

static void print_hyper(const nmrt_options *o, const nmrt_hyper_flag *flag, nmrt_text *out)
{
    nmrt_text_add(out, "--%s ", flag->name);
    for (int i = flag->first; i < flag->first + flag->n; i++) {
        nmrt_text_add(out, i > flag->first ? "," : "");
        nmrt_text_add_real(out, o->hypers.hyper[i].value);
    }
    nmrt_text_add(out, "\n");
}

static void print_size(const char *name, const char *path, nmrt_text *out)
{
    struct stat st;
    if (path && stat(path, &st))
        nmrt_text_add(out, "--%s a file that is not there\n", name);
    else if (path)
        nmrt_text_add(out, "--%s a file of %lld bytes\n", name, (long long)st.st_size);
}

static void print_all(const nmrt_options *o, nmrt_text *out)
{
    for (int i = 0; i < nmrt_n_options; i++)
        print_option(o, &nmrt_option_table[i], out);
    for (int i = 0; i < o->hypers.n_flags; i++)
        print_hyper(o, &o->hypers.flag[i], out);
    print_size("data", o->data, out);
    print_size("eval-data", o->eval_data, out);
}

// --- the comparison ------------------------------------------------------------------------------

// The first line of `mine` that is not rank 0's. Both have a line a flag, in the same order, up to
// there.
static nmrt_status compare(int rank, const char *mine, const char *first, nmrt_error *e)
{
    for (size_t n, m; *mine || *first;
         mine += n + (mine[n] == '\n'), first += n + (first[n] == '\n')) {
        n = strcspn(mine, "\n");
        m = strcspn(first, "\n");
        if (n != m || strncmp(mine, first, n) != 0)
            return nmrt_fail(e, NMRT_USAGE,
                             "the ranks have different flags: rank %d has %.*s, rank 0 has %.*s",
                             rank, (int)n, mine, (int)m, first);
    }
    return NMRT_OK;
}

static nmrt_status compare_with_first(nmrt_comm *comm, const nmrt_text *mine, nmrt_error *e)
{
    int64_t n = (int64_t)mine->n + 1;
    NMRT_TRY(nmrt_agree_on(comm, &n, sizeof n, e));
    char *first = malloc((size_t)n);
    if (!first)
        return nmrt_fail(e, NMRT_WORLD, "no memory to compare the ranks' flags");
    if (!comm->rank)
        memcpy(first, mine->at, (size_t)n);
    nmrt_status status = nmrt_agree_on(comm, first, n, e);
    if (status == NMRT_OK)
        status = nmrt_agree(comm, compare(comm->rank, mine->at, first, e), e);
    free(first);
    return status;
}

nmrt_status nmrt_same_flags(nmrt_comm *comm, const nmrt_options *o, nmrt_error *e)
{
    nmrt_text mine = {0};
    if (comm->ranks == 1)
        return NMRT_OK;
    print_all(o, &mine);
    nmrt_status status = mine.failed
                             ? nmrt_fail(e, NMRT_WORLD, "no memory to compare the ranks' flags")
                             : compare_with_first(comm, &mine, e);
    nmrt_text_release(&mine);
    nmrt_error late;
    if (status == NMRT_USAGE) // nobody leaves, which ends all, before all know why
        (void)comm->barrier(comm, &late);
    return status;
}
