// NVTX, for tools that listen to it (Nsight Systems): ranges of the calling thread. Its library is
// looked for when it is opened; where there is none, nothing happens.
#ifndef NMRT_NVTX_H
#define NMRT_NVTX_H

typedef struct nmrt_nvtx {
    int (*push)(const char *name); // NULL: no library
    int (*pop)(void);
} nmrt_nvtx;

nmrt_nvtx nmrt_nvtx_open(void);
void nmrt_nvtx_push(const nmrt_nvtx *n, const char *name);
void nmrt_nvtx_pop(const nmrt_nvtx *n);

#endif
