// A device in the emulator: its workers, its buffers, the launch that runs. Internal to
// runtime/emu.
#ifndef NMEMU_LAUNCH_H
#define NMEMU_LAUNCH_H

#include "runtime/emu/block.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

// A buffer: [start, start + bytes) between pages that nobody may touch. The bytes between its
// pages' start and it, and behind it, hold a pattern.
typedef struct nmemu_buffer {
    struct nmemu_buffer *next;
    char *name;
    char *pages, *start; // what was mapped; the buffer itself
    u64 mapped, bytes;
    bool released;
} nmemu_buffer;

struct nmemu {
    int n_workers;
    struct {
        nmemu_block *block;
        _Atomic u64 index; // of the block it runs; UINT64_MAX if it has none
    } worker[NMEMU_MAX_WORKERS];
    _Atomic(nmemu_buffer *) buffers; // newest first
    pthread_mutex_t lock;            // of buffers, and of the launch's progress
    const nmemu_launch *launch;
    u64 blocks, next, end; // of the grid; blocks from `end` on are not started
    u64 failed_at;
    const void *pc; // of the kernel, there
    char error[4096], edge[512];
    const void *line_pc; // what was looked up last: its
    char line[1024];     // file and line, or nothing
};

void nmemu_free_buffers(nmemu *m);
// What a kernel wrote beside a buffer on the buffer's own pages, in words; NULL: nothing.
const char *nmemu_check_edges(nmemu *m);

#endif
