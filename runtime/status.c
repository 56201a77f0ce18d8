// Messages of the runtime's failures.
#include "runtime/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

nmrt_status nmrt_fail(nmrt_error *e, nmrt_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->everyones = false;
    return status;
}

nmrt_status nmrt_fail_errno(nmrt_error *e, const char *fmt, ...)
{
    int number = errno;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(number));
    e->everyones = false;
    return NMRT_WORLD;
}

nmrt_status nmrt_everyones(nmrt_status status, nmrt_error *e)
{
    if (status != NMRT_OK)
        e->everyones = true;
    return status;
}
