#include "base/source.h"

#include "base/diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const nm_source *nm_source_text(nm_arena *arena, nm_diag *diag, const char *name, const char *text,
                                size_t len)
{
    const char *nul = len ? memchr(text, 0, len) : NULL;
    if (nul) {
        nm_error(diag, (nm_loc){0}, "%s: a NUL byte at offset %zu; this is not a text file", name,
                 (size_t)(nul - text));
        return NULL;
    }
    nm_source *src = nm_new(arena, nm_source);
    src->name = nm_arena_strndup(arena, name, strlen(name));
    src->text = nm_arena_strndup(arena, text, len);
    src->len = len;
    return src;
}

static const nm_source *fail(nm_diag *diag, const char *path, const char *why)
{
    nm_error(diag, (nm_loc){0}, "cannot read %s: %s", path, why);
    return NULL;
}

// The whole stream in *text (caller frees), one byte more than the limit at most.
static bool read_all(FILE *in, char **text, size_t *len)
{
    size_t cap = 0, n = 0;
    char *buf = NULL;
    while (n <= NM_MAX_SOURCE) {
        if (n == cap) {
            cap = cap ? cap * 2 : 64 * 1024;
            buf = realloc(buf, cap);
            if (!buf)
                return false;
        }
        size_t got = fread(buf + n, 1, cap - n, in);
        if (!got)
            break;
        n += got;
    }
    *text = buf;
    *len = n;
    return !ferror(in);
}

static const nm_source *read_stream(nm_arena *arena, nm_diag *diag, const char *path, FILE *in)
{
    char *text = NULL;
    size_t len = 0;
    const nm_source *src = NULL;
    if (!read_all(in, &text, &len))
        fail(diag, path, strerror(errno));
    else if (len > NM_MAX_SOURCE)
        fail(diag, path, "longer than 64 MiB");
    else
        src = nm_source_text(arena, diag, path, text, len);
    free(text);
    return src;
}

const nm_source *nm_source_read(nm_arena *arena, nm_diag *diag, const char *path)
{
    if (!strcmp(path, "-"))
        return read_stream(arena, diag, "<stdin>", stdin);
    struct stat st;
    if (stat(path, &st))
        return fail(diag, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(diag, path, "it is a folder");
    FILE *in = fopen(path, "rb");
    if (!in)
        return fail(diag, path, strerror(errno));
    const nm_source *src = read_stream(arena, diag, path, in);
    fclose(in);
    return src;
}

nm_line_col nm_loc_line_col(nm_loc loc)
{
    if (!loc.src || !loc.src->text)
        return (nm_line_col){loc.off, loc.len};
    const char *bol = loc.src->text, *at = bol + loc.off;
    uint32_t line = 1;
    for (const char *p = bol; p < at && *p; p++)
        if (*p == '\n')
            line++, bol = p + 1;
    return (nm_line_col){line, (uint32_t)(at - bol) + 1};
}
