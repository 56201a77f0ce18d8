// SIGINT, SIGTERM and SIGHUP: the first asks, and is answered at once; the second ends, but for
// SIGHUP, of which a shell sends two when its terminal is closed.
#include "runtime/stop.h"

#include "runtime/recorder.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked, unread; // global: a signal handler has no other place
static nmrt_recorder *followed;             // of a forked rank: its parent answers signals for all

static void on_signal(int number)
{
    if (asked && number == SIGHUP)
        return;
    if (asked)
        _exit(128 + number);
    asked = 1;
    if (followed) {
        nmrt_recorder_ask_stop(followed); // one atomic store
        return;
    }
    static const char answer[] = "\nstopping; a second signal exits without saving\n";
    int old = errno; // the interrupted call's
    ssize_t written = write(STDERR_FILENO, answer, sizeof answer - 1);
    (void)written; // nobody is left to tell
    errno = old;
}

// Whoever read the output is gone, and every line says so again.
static void on_pipe(int number)
{
    (void)number;
    unread = 1;
    if (followed)
        nmrt_recorder_ask_stop(followed);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void nmrt_stop_install(void)
{
    handle(SIGTERM, on_signal);
    if (!followed) // a shell's background has this ignored, and may be sent it all the same
        handle(SIGINT, on_signal);
    if (!is_ignored(SIGHUP)) // as under nohup
        handle(SIGHUP, on_signal);
    if (!is_ignored(SIGPIPE))
        handle(SIGPIPE, on_pipe);
}

// A terminal sends SIGINT and SIGHUP to the parent and to the ranks; one answer is enough.
void nmrt_stop_follow(nmrt_recorder *recorder)
{
    followed = recorder;
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

bool nmrt_stop_asked(void)
{
    return asked || unread || (followed && nmrt_recorder_stop_asked(followed));
}

nmrt_status nmrt_stop_check(nmrt_error *e)
{
    return nmrt_stop_asked() ? nmrt_fail(e, NMRT_STOPPED, "stopped by a signal") : NMRT_OK;
}
