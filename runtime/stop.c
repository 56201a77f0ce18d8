// SIGINT and SIGTERM: the first asks, and is answered at once; the second ends.
#include "runtime/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked; // the one global: a signal handler has no other place

static void on_signal(int number)
{
    if (asked)
        _exit(128 + number);
    asked = 1;
    static const char answer[] = "\nstopping; a second signal exits without saving\n";
    int old = errno; // the interrupted call's
    ssize_t written = write(STDERR_FILENO, answer, sizeof answer - 1);
    (void)written; // nobody is left to tell
    errno = old;
}

void nmrt_stop_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

bool nmrt_stop_asked(void) { return asked; }

nmrt_status nmrt_stop_check(nmrt_error *e)
{
    return asked ? nmrt_fail(e, NMRT_STOPPED, "stopped by a signal") : NMRT_OK;
}
