// A file that a run adds to at every step, and that must not end the run: what the disk does not
// take now is kept in memory, and written before what comes later.
#ifndef NMRT_LOG_H
#define NMRT_LOG_H

#include "runtime/file.h"
#include "runtime/text.h"

typedef struct nmrt_log {
    int fd; // -1: closed; adding does nothing
    char path[NMRT_PATH];
    nmrt_text late; // what is not written yet
} nmrt_log;

// Opens the file at log->path to add to it, or creates it.
nmrt_status nmrt_log_open(nmrt_log *log, nmrt_error *e);
// A failure is told when it begins, and again once memory ends, too; nothing is lost by the first.
nmrt_status nmrt_log_add(nmrt_log *log, const void *bytes, size_t n, nmrt_error *e);
// The last try for what is still in memory; a failure says how much it was.
nmrt_status nmrt_log_end(nmrt_log *log, nmrt_error *e);
// What was written by then is on the disk; also while another thread adds.
nmrt_status nmrt_log_sync(const nmrt_log *log, nmrt_error *e);
void nmrt_log_close(nmrt_log *log); // tries, too, and tells nobody

#endif
