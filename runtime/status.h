// How the runtime fails: a status says of which kind, a message in the caller's buffer says what
// happened and what to do. A library function never prints and never aborts; main owns exit codes.
#ifndef NMRT_STATUS_H
#define NMRT_STATUS_H

#include <stdbool.h>

typedef enum {
    NMRT_OK,
    NMRT_USAGE,   // the flags, or flags that do not fit the program
    NMRT_WORLD,   // files, disks, memory, the machine
    NMRT_CORRUPT, // a file that is there but cannot be believed
    NMRT_FOREIGN, // a whole file, made by another program
    NMRT_NUMERIC, // the loss is no longer a number
    NMRT_STOPPED, // a signal asked for the end: nothing is wrong, the work is not done
} nmrt_status;

typedef struct nmrt_error {
    char text[1024]; // one sentence, without "error: " and without a line end
    bool everyones;  // all ranks fail with this sentence: it is not this one's
} nmrt_error;

// Writes the message (cut at the buffer's end) and returns `status`, for `return nmrt_fail(...)`.
nmrt_status nmrt_fail(nmrt_error *e, nmrt_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// As nmrt_fail, with errno's text behind the message.
nmrt_status nmrt_fail_errno(nmrt_error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// Returns `status`; a failure is all ranks' from now on.
nmrt_status nmrt_everyones(nmrt_status status, nmrt_error *e);

#define NMRT_TRY(call)                                                                             \
    do {                                                                                           \
        nmrt_status status_ = (call);                                                              \
        if (status_ != NMRT_OK)                                                                    \
            return status_;                                                                        \
    } while (0)

#endif
