// Objects in the cache: see kept.h. A file's name has a hash of all that the object depends on; it
// holds the bitcode again, which is compared, and then the object. So a wrong one would take two
// compilers, targets or sets of templates with one hash.
#include "codegen/kept.h"

#include "base/cache.h"
#include "base/hash.h"

#include <errno.h>
#include <llvm-c/Core.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 64 };

static uint64_t hash_string(uint64_t h, const char *s)
{
    return nm_hash64_more(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static uint64_t hash_target(uint64_t h, const nm_target *t)
{
    int64_t words[] = {t->vl, t->arch, t->is_gpu, t->is_emu, t->is_sm90a, t->is_driver};
    h = nm_hash64_more(h, words, sizeof words);
    h = hash_string(h, t->triple);
    h = hash_string(h, t->cpu);
    h = hash_string(h, t->features);
    h = hash_string(h, t->ptx);
    return nm_hash64_more(h, &t->templates_hash, sizeof t->templates_hash);
}

static uint64_t hash_key(const nm_object *o, nm_kept_key key)
{
    unsigned version[3];
    LLVMGetVersion(&version[0], &version[1], &version[2]);
    uint64_t h = nm_hash64(version, sizeof version);
    h = hash_string(h, key.version);
    h = hash_string(h, key.passes);
    h = hash_string(h, o->name);
    h = nm_hash64_more(h, &key.is_text, sizeof key.is_text);
    h = nm_hash64_more(h, o->entry, sizeof o->entry);
    h = hash_target(h, o->target);
    h = nm_hash64_more(h, o->library.data, o->library.size);
    return nm_hash64_more(h, LLVMGetBufferStart(o->bitcode), LLVMGetBufferSize(o->bitcode));
}

static void name_file(char name[NAME], const nm_object *o, nm_kept_key key)
{
    snprintf(name, NAME, "object-%zx-%016llx", LLVMGetBufferSize(o->bitcode),
             (unsigned long long)hash_key(o, key));
}

bool nm_kept_find(nm_object *o, nm_kept_key key)
{
    char name[NAME], *data;
    size_t size, head = LLVMGetBufferSize(o->bitcode);
    name_file(name, o, key);
    if (nm_cache_read(name, &data, &size) != NM_CACHE_OK)
        return false;
    if (size <= head || memcmp(data, LLVMGetBufferStart(o->bitcode), head) != 0) {
        free(data);
        return false;
    }
    memmove(data, data + head, size - head);
    o->data = data;
    o->size = size - head;
    return true;
}

void nm_kept_add(const nm_object *o, nm_kept_key key, int *why)
{
    char name[NAME];
    size_t head = LLVMGetBufferSize(o->bitcode);
    char *data = malloc(head + o->size);
    if (!data)
        return;
    memcpy(data, LLVMGetBufferStart(o->bitcode), head);
    memcpy(data + head, o->data, o->size);
    name_file(name, o, key);
    if (nm_cache_write(name, data, head + o->size) == NM_CACHE_FAILED)
        *why = errno;
    free(data);
}
