// The tensors of an export: which there are, which file has them, and the files themselves.
#ifndef NMRT_FOREIGN_SHARDS_H
#define NMRT_FOREIGN_SHARDS_H

#include "runtime/foreign/origin.h"

typedef struct nmrt_shards {
    nmrt_tensor *tensor;        // [n] in the order of the files; offsets are in its file
    const nmdrv_part_of **part; // [n] the first row of the map that is in it
    int *file;                  // [n]
    int n, n_files;
    int64_t bytes; // of all tensors
} nmrt_shards;

// Bytes of "5GB", "500MB", "2GiB" or a number; -1: it is none of these.
int64_t nmrt_shard_size(const char *text);

typedef struct nmrt_shard_request {
    const nmdrv_program *program;
    const nmdrv_weights *map;
    const char *dtype; // of every tensor; NULL: as the origin has it, else `otherwise`
    const char *otherwise;
    int64_t most; // bytes of a file; a tensor that is larger has one alone
} nmrt_shard_request;
// Release them in any case.
nmrt_status nmrt_shards_init(nmrt_shards *s, const nmrt_shard_request *q, const nmrt_origin *from,
                             nmrt_error *e);
void nmrt_shards_release(nmrt_shards *s);

void nmrt_shard_name(const nmrt_shards *s, int file,
                     char out[64]); // model-00001-of-00003.safetensors
// Writes and syncs all files, and their index where there are several. The folder exists.
nmrt_status nmrt_shards_write(const nmrt_shards *s, const nmdrv_weights *map, nmrt_origin *from,
                              const char *folder, nmrt_error *e);

#endif
