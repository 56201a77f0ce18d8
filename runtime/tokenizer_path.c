// The tokenizer lies beside the weights: a checkpoint's companions, or the folder of --init.
#include "runtime/tokenizer_path.h"

#include "runtime/foreign/companions.h"
#include "runtime/foreign/import.h"

#include <string.h>

static bool is_beside(const char *weights, char room[NMRT_PATH])
{
    return weights && nmrt_companions_tokenizer(weights, room);
}

// The checkpoint to read, or a folder of them; NULL: none.
static const char *find_checkpoint(const nmrt_options *o)
{
    if (o->verb != NMRT_TRAIN)
        return o->checkpoint;
    if (strcmp(o->resume, "none") == 0)
        return NULL;
    return strcmp(o->resume, "auto") == 0 ? o->save : o->resume;
}

const char *nmrt_tokenizer_path(const nmrt_options *o, char room[NMRT_PATH])
{
    char map[32];
    if (o->tokenizer)
        return o->tokenizer;
    if (is_beside(find_checkpoint(o), room) ||
        (o->init && is_beside(nmrt_init_folder(o->init, map), room)))
        return room;
    return NULL;
}
