// The emulated driver as a whole: its table, its lock, its messages, and what the environment says:
//   NEMOCC_EMU=eager|lazy|random[:SEED]   when works of streams and copies of kernels happen
//   NEMOCC_EMU_THREADS=N                  CPU threads for the blocks of a kernel
//   NEMOCC_EMU_DEVICES=N                  GPUs of this machine
//   NEMOCC_EMU_NCCL=VERSION               22809: 2.28.9
#include "runtime/emu/driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

nmemu_driver nmemu_drv = {.lock = PTHREAD_MUTEX_INITIALIZER, .workers = 1};

CUresult nmemu_call(const char *call)
{
    nmemu_driver *d = &nmemu_drv;
    pthread_mutex_lock(&d->lock);
    if (d->broken)
        return d->broken;
    d->call = call;
    d->message[0] = 0;
    return d->started ? CUDA_SUCCESS
                      : nmemu_say(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
}

CUresult nmemu_call_in_context(const char *call)
{
    CUresult r = nmemu_call(call);
    if (r == CUDA_SUCCESS && !nmemu_context())
        r = nmemu_say(CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context");
    return r;
}

CUresult nmemu_done(CUresult r)
{
    pthread_mutex_unlock(&nmemu_drv.lock);
    return r;
}

CUresult nmemu_say(CUresult r, const char *fmt, ...)
{
    nmemu_driver *d = &nmemu_drv;
    va_list list;
    int n = snprintf(d->message, sizeof d->message, "%s: ", d->call);
    va_start(list, fmt);
    vsnprintf(d->message + n, sizeof d->message - (size_t)n, fmt, list);
    va_end(list);
    return r;
}

uint64_t nmemu_draw(void)
{
    uint64_t x = nmemu_drv.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return nmemu_drv.random = x;
}

// --- start, errors -------------------------------------------------------------------------------

static CUresult init(unsigned int flags)
{
    nmemu_driver *d = &nmemu_drv;
    pthread_mutex_lock(&d->lock);
    d->call = "cuInit";
    CUresult r = d->broken;
    if (!r && flags)
        r = nmemu_say(CUDA_ERROR_INVALID_VALUE, "flags are 0");
    d->started = d->started || !r;
    return nmemu_done(r);
}

static CUresult driver_version(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

static const char *message(void) { return nmemu_drv.message[0] ? nmemu_drv.message : NULL; }

static const struct {
    const char *name;
    long value;
} constants[] = {
#define GPU_CONST(name, value) {#name, value},
#include "runtime/gpu/api.def"
};

static CUresult error_name(CUresult error, const char **text)
{
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (constants[i].value == error && (strncmp(constants[i].name, "CUDA_ERROR_", 11) == 0 ||
                                            strcmp(constants[i].name, "CUDA_SUCCESS") == 0)) {
            *text = constants[i].name;
            return CUDA_SUCCESS;
        }
    *text = NULL;
    return CUDA_ERROR_INVALID_VALUE;
}

// --- the table -----------------------------------------------------------------------------------

static bool read_mode(const char *text)
{
    static const char *const names[] = {"eager", "lazy", "random"};
    size_t n = strcspn(text, ":");
    int i = 0;
    while (i < 3 && (strlen(names[i]) != n || strncmp(names[i], text, n) != 0))
        i++;
    if (i == 3 || (text[n] && i != NMEMU_RANDOM))
        return false;
    char *end = NULL;
    uint64_t seed = text[n] ? strtoull(text + n + 1, &end, 10) : 0;
    if (end && (*end || end == text + n + 1))
        return false;
    nmemu_drv.mode = (nmemu_mode)i;
    nmemu_drv.random = (seed + 1) * 0x9e3779b97f4a7c15;
    return true;
}

// Of the environment; `usual` where it is not there or empty. False: it is not from `least` to
// `most`.
static bool read_number(const char *name, long least, long most, long usual, int *number)
{
    char *end;
    const char *text = getenv(name);
    long n = text && *text ? strtol(text, &end, 10) : usual;
    if ((text && *text && *end) || n < least || n > most)
        return false;
    *number = (int)n;
    return true;
}

static bool read_arch(const char *text)
{
    bool is_sm90a = strcmp(text, "sm_90a") == 0;
    nmemu_drv.capability = is_sm90a ? 90 : 80;
    return is_sm90a || strcmp(text, "sm_80") == 0;
}

// One sentence, as nmrt_fail writes it: this library is linked without the runtime, too.
static const nmrt_gpu_api *fail(nmrt_error *e, const char *fmt, const char *text)
{
    snprintf(e->text, sizeof e->text, fmt, text);
    return NULL;
}

const nmrt_gpu_api *nmrt_gpu_emulator(nmrt_error *e)
{
    static nmrt_gpu_api table;
    const char *mode = getenv("NEMOCC_EMU");
    if (!read_mode(mode && *mode ? mode : "eager"))
        return fail(e, "NEMOCC_EMU=%s: it is eager, lazy, random or random:SEED", mode);
    if (!read_number("NEMOCC_EMU_THREADS", 1, NMEMU_MAX_WORKERS, 1, &nmemu_drv.workers) ||
        !read_number("NEMOCC_EMU_DEVICES", 1, NMEMU_DEVICES, NMEMU_DEVICES, &nmemu_drv.devices))
        return fail(e, "%s are numbers from 1 to 16", "NEMOCC_EMU_THREADS and NEMOCC_EMU_DEVICES");
    if (!read_number("NEMOCC_EMU_NCCL", 20000, 99999, 22809, &nmemu_drv.nccl))
        return fail(e, "%s is a version of NCCL, as 22809", "NEMOCC_EMU_NCCL");
    const char *arch = getenv("NEMOCC_EMU_ARCH");
    if (!read_arch(arch && *arch ? arch : "sm_90a"))
        return fail(e, "NEMOCC_EMU_ARCH=%s: it is sm_80 or sm_90a", arch);
    table.cuInit = init;
    table.cuDriverGetVersion = driver_version;
    table.cuGetErrorName = table.cuGetErrorString = error_name;
    table.message = message;
    nmemu_fill_devices(&table);
    nmemu_fill_memory(&table);
    nmemu_fill_modules(&table);
    nmemu_fill_maps(&table);
    nmemu_fill_streams(&table);
    nmemu_fill_events(&table);
    nmemu_fill_graphs(&table);
    nmemu_fill_blas(&table);
    nmemu_fill_nccl(&table);
    return &table;
}
