// Values of flags, and their help.
#include "runtime/flag.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool parse_int(const char *text, int64_t least, int64_t *value)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    *value = x;
    return end != text && !*end && !errno && x >= least && x <= (1LL << 53);
}

void nmrt_flag_int(const char *name, const char *text, int64_t least, int64_t *value,
                   nmrt_text *problems)
{
    if (!parse_int(text, least, value))
        nmrt_text_add(problems, "--%s takes a whole number from %lld on, not '%s'\n", name,
                      (long long)least, text);
}

void nmrt_flag_check_choice(const char *name, const char *help, const char *text,
                            nmrt_text *problems)
{
    size_t n = strlen(text), all = strcspn(help, ":");
    for (const char *s = help; s < help + all;) {
        size_t k = strcspn(s, "|:");
        if (k == n && memcmp(s, text, n) == 0)
            return;
        s += k + 1;
    }
    nmrt_text_add(problems, "--%s takes %.*s, not '%s'\n", name, (int)all, help, text);
}

void nmrt_flag_add_help(nmrt_text *out, int column, const char *flag, const char *help)
{
    enum { WIDTH = 100 };
    size_t at = (size_t)column;
    nmrt_text_add(out, "  %-*s", column - 2, flag);
    if (strlen(flag) + 2 > at)
        nmrt_text_add(out, "\n%*s", column, "");
    while (*help) {
        size_t n = strcspn(help, " ");
        if (at + n + 1 > WIDTH) {
            nmrt_text_add(out, "\n%*s", column, "");
            at = (size_t)column;
        }
        nmrt_text_add(out, " %.*s", (int)n, help);
        at += n + 1;
        help += n + (help[n] == ' ');
    }
    nmrt_text_add(out, "\n");
}
