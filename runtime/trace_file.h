// The file of a trace: an array of JSON trace events, one a line. The array's end may be missing
// (viewers know that), so what has been written is worth reading at any time.
#ifndef NMRT_TRACE_FILE_H
#define NMRT_TRACE_FILE_H

#include "runtime/file.h"
#include "runtime/text.h"
#include "runtime/trace.h"

// --- events as text ------------------------------------------------------------------------------

typedef struct nmrt_trace_row { // where an event is shown
    int rank, id;               // a process and its thread
    int64_t zero;               // in the clock of spans: the file's time 0
} nmrt_trace_row;

// Each ends in ",\n".
void nmrt_trace_print_process(nmrt_text *out, int rank, const char *name);
void nmrt_trace_print_track(nmrt_text *out, const nmrt_trace_row *row, int place, const char *name);
void nmrt_trace_print_span(nmrt_text *out, const nmrt_trace_row *row, const nmrt_span *span);
void nmrt_trace_print_number(nmrt_text *out, const nmrt_trace_row *row, const char *name,
                             int64_t at, double value);

// --- the file ------------------------------------------------------------------------------------

typedef struct nmrt_trace_file {
    int fd; // -1: closed
    bool begun;
    char path[NMRT_PATH];
} nmrt_trace_file;

// Of several ranks, all but 0 have path.rank-N. Replaces what is there.
nmrt_status nmrt_trace_file_create(nmrt_trace_file *f, const char *path, int rank, nmrt_error *e);
nmrt_status nmrt_trace_file_add(nmrt_trace_file *f, const nmrt_text *events, nmrt_error *e);
// Puts the events of this rank's file behind those of f, and removes it.
nmrt_status nmrt_trace_file_join(nmrt_trace_file *f, const char *path, int rank, nmrt_error *e);
nmrt_status nmrt_trace_file_end(nmrt_trace_file *f, nmrt_error *e); // the array's
void nmrt_trace_file_close(nmrt_trace_file *f);                     // without it
void nmrt_trace_file_drop(nmrt_trace_file *f);                      // it has no events: it goes

#endif
