// A safetensors file that is written in any order, as what is in it becomes known, by one rank or
// several that see the same folder. It is there under its name once it is whole; until then, as
// NAME.part.
#ifndef NMRT_DUMP_H
#define NMRT_DUMP_H

#include "runtime/comm.h"
#include "runtime/safetensors.h"

typedef struct nmrt_dump {
    int fd; // -1: closed
    const char *path;
    char part[NMRT_PATH];
    int64_t data; // bytes before the tensors'
} nmrt_dump;

// Places the tensors behind each other: begin and end from dtype and shape.
void nmrt_dump_lay(nmrt_tensor *tensor, int n);
// Collective: fails where rank 0 could not make the file, before there is anything to write.
nmrt_status nmrt_dump_check(char part[NMRT_PATH], const char *path, nmrt_comm *comm, nmrt_error *e);
// Collective: rank 0 makes the file, all open it. comm NULL: one rank alone. `path` must outlive
// the dump.
nmrt_status nmrt_dump_open(nmrt_dump *d, const char *path, const nmrt_tensor *tensor, int n,
                           nmrt_comm *comm, nmrt_error *e);
nmrt_status nmrt_dump_write(const nmrt_dump *d, int64_t at, const void *bytes, size_t n,
                            nmrt_error *e); // at: as of a tensor's begin
// Collective, whatever `status` the rank's writing had: where all are NMRT_OK the file gets its
// name, else it is removed. The status is that of all.
nmrt_status nmrt_dump_close(nmrt_dump *d, nmrt_comm *comm, nmrt_status status, nmrt_error *e);

#endif
