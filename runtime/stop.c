// SIGINT and SIGTERM: the first asks, the second ends.
#include "runtime/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked; // the one global: a signal handler has no other place

static void on_signal(int number)
{
    if (asked)
        _exit(128 + number);
    asked = 1;
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
