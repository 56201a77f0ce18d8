// libFuzzer's entry: the bytes are what a checkpoint's index says of a tensor [4, 6] of f32: its
// pieces, with their checksums. Where they are taken, they lie in it, and are all of it, once.
#include "runtime/checkpoint_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const nmrt_box whole = {2, {0, 0}, {4, 6}};

static void check(const nmrt_stored_list *list)
{
    int64_t elements = 0;
    for (int i = 0; i < list->n; i++) {
        const nmrt_stored *s = &list->at[i];
        if (s->begin < 0 || s->end - s->begin != 4 * nmrt_box_elements(&s->box))
            abort();
        for (int k = 0; k < 2; k++)
            if (s->box.from[k] < 0 || s->box.from[k] + s->box.n[k] > whole.n[k])
                abort();
        elements += nmrt_box_elements(&s->box);
    }
    if (elements != 24)
        abort();
}

static void read_pieces(const nm_json *doc, int node)
{
    enum { SOME = 8 };
    nmrt_stored_list list = {.at = malloc(SOME * sizeof *list.at)};
    nmrt_error e;
    uint64_t hash;
    if (list.at)
        memset(list.at, 1, SOME * sizeof *list.at); // what is no piece is not of the list
    if (nmrt_stored_read(&list, doc, node, -1, &whole, 4, &e) == NMRT_OK &&
        nmrt_stored_check(&list, &whole, "w", &e) == NMRT_OK)
        check(&list);
    for (int i = 0; i < list.n; i++)
        for (int k = nm_json_first(doc, list.at[i].checksums); k >= 0; k = doc->node[k].next)
            (void)nmrt_checksum_read(doc, k, &hash);
    free(list.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    nm_json doc;
    nmrt_error e;
    char mesh[64];
    if (nmrt_json_parse(&doc, (const char *)bytes, n, &e) != NMRT_OK)
        return 0;
    read_pieces(&doc, 0);
    read_pieces(&doc, nm_json_get(&doc, 0, "pieces"));
    nmrt_index_print_mesh(&(nmrt_index){.doc = doc}, mesh);
    nm_json_release(&doc);
    return 0;
}
