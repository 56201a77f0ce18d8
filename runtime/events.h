// TensorBoard's event files: the numbers of metrics.jsonl' rows as scalars, under their names.
//
// A file is TFRecords (tensorflow/core/lib/io/record_writer.h): length, its masked CRC-32C, bytes,
// theirs; the bytes are a protobuf Event (tensorflow/core/util/event.proto). Each run begins a file
// of its own, with the mark that makes readers forget what earlier files have of its steps.
#ifndef NMRT_EVENTS_H
#define NMRT_EVENTS_H

#include "runtime/metrics.h"

// Opens a new file in dir (NULL: none), which is there, for a run that goes on behind `step`. Where
// its head cannot be written it fails with the log open, and the head waits as rows do.
nmrt_status nmrt_events_open(nmrt_log *log, const char *dir, int64_t step, nmrt_error *e);
// Appends what metrics.jsonl has of the step.
nmrt_status nmrt_events_add(nmrt_log *log, const nmrt_row *row, const nmrt_engine *en,
                            const nmrt_planned *finish, nmrt_error *e);

#endif
