// Cubins that ptxas has made before, in the cache of the user (base/cache.h): of two compilations
// that give the same kernels, the second does not run it. A file is what ptxas said, a zero, and
// the cubin; its name has the architecture and a hash of the text, of ptxas' flags and of what it
// says of itself.
#include "base/cache.h"
#include "base/hash.h"
#include "codegen/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Of the text without its titles, which name lines of the model. *bytes: how long that is.
static uint64_t hash_text(uint64_t h, const nm_image *ptx, size_t *bytes)
{
    *bytes = 0;
    for (const char *line = ptx->data, *next; *line; line = next) {
        size_t n = strcspn(line, "\n");
        next = line + n + (line[n] == '\n');
        if (strncmp(line, "//", 2) == 0)
            continue;
        h = nm_hash64_more(h, line, (size_t)(next - line));
        *bytes += (size_t)(next - line);
    }
    return h;
}

static const char *name_of(nm_module *m, const char *version, const nm_image *ptx)
{
    size_t bytes;
    uint64_t h = hash_text(nm_hash64(version, strlen(version)), ptx, &bytes);
    return nm_arena_fmt(m->arena, "cubin-%s-%zx-%016llx", ptx->target->name, bytes,
                        (unsigned long long)h);
}

// Never an error: without a cache all works, slower.
static void tell(nm_module *m, nm_cache_status status, const char *name)
{
    char path[NM_CACHE_PATH] = "";
    nm_cache_path(path, name);
    if (status == NM_CACHE_BROKEN)
        nm_note(m->diag, (nm_loc){0}, "the cache's file %s is broken, and made again", path);
    if (status == NM_CACHE_FAILED)
        nm_note(m->diag, (nm_loc){0}, "no cubin is kept for the next time in %s: %s", path,
                strerror(errno));
}

static bool load(nm_module *m, const char *name, const nm_image *ptx, nm_image *cubin,
                 const char **said)
{
    char *data;
    size_t size;
    nm_cache_status status = nm_cache_read(name, &data, &size);
    if (status != NM_CACHE_OK) {
        tell(m, status, name);
        return false;
    }
    size_t head = strlen(data) + 1;
    bool ok = head < size;
    if (ok) {
        *said = nm_arena_fmt(m->arena, "%s", data);
        memmove(data, data + head, size - head);
        *cubin = (nm_image){ptx->target, true, data, size - head};
    } else {
        free(data);
    }
    return ok;
}

static void keep(nm_module *m, const char *name, const nm_image *cubin, const char *said)
{
    size_t head = strlen(said) + 1;
    char *data = malloc(head + cubin->size);
    if (!data)
        return;
    memcpy(data, said, head);
    memcpy(data + head, cubin->data, cubin->size);
    tell(m, nm_cache_write(name, data, head + cubin->size), name);
    free(data);
}

bool nm_cubin_make(nm_module *m, const char *ptxas, const char *version, const nm_image *ptx,
                   nm_image *cubin, const char **said)
{
    const char *name = name_of(m, version, ptx);
    if (load(m, name, ptx, cubin, said))
        return true;
    if (!nm_ptxas_run(m, ptxas, ptx, cubin, said))
        return false;
    keep(m, name, cubin, *said);
    nm_cache_trim(NM_CACHE_LIMIT);
    return true;
}
