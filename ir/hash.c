// Hashes of texts: what prints the same is the same, in every process.
#include "base/hash.h"
#include "ir/ir.h"

#include <stdlib.h>

typedef struct hashing { // of a text that is being printed
    FILE *out;
    char *text;
    size_t n;
} hashing;

static void begin(hashing *h)
{
    *h = (hashing){0};
    h->out = open_memstream(&h->text, &h->n);
    if (!h->out)
        nm_bug("no memory for a text");
}

static uint64_t end(hashing *h)
{
    fclose(h->out);
    uint64_t hash = nm_hash64(h->text, h->n);
    free(h->text);
    return hash;
}

uint64_t nm_module_hash(nm_module *m)
{
    hashing h;
    begin(&h);
    nm_print(h.out, m, (nm_print_opts){0});
    return end(&h);
}

uint64_t nm_func_hash(nm_func *f)
{
    hashing h;
    begin(&h);
    nm_print_func(h.out, f, (nm_print_opts){0});
    return end(&h);
}
