// Emulated devices: up to sixteen of compute capability 9.0 or 8.0, each with this machine's
// memory. A device has its primary context and no other; the emulated machine lives as long as
// that.
#include "runtime/emu/driver.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct CUctx_st contexts[NMEMU_DEVICES];
static _Thread_local CUcontext current;

CUcontext nmemu_context(void) { return current && current->machine ? current : NULL; }

static CUresult check_device(CUdevice device)
{
    if (device >= 0 && device < nmemu_drv.devices)
        return CUDA_SUCCESS;
    return nmemu_say(CUDA_ERROR_INVALID_VALUE, "there is no device %d", device);
}

// --- what a device is ----------------------------------------------------------------------------

static CUresult get_count(int *count)
{
    *count = nmemu_drv.devices;
    return nmemu_done(nmemu_call("cuDeviceGetCount"));
}

static CUresult get_device(CUdevice *device, int ordinal)
{
    CUresult r = nmemu_call("cuDeviceGet");
    *device = ordinal;
    return nmemu_done(r ? r : check_device(ordinal));
}

static CUresult get_name(char *name, int size, CUdevice device)
{
    CUresult r = nmemu_call("cuDeviceGetName");
    snprintf(name, (size_t)size, "emulated GPU");
    return nmemu_done(r ? r : check_device(device));
}

static CUresult get_uuid(CUuuid *uuid, CUdevice device)
{
    CUresult r = nmemu_call("cuDeviceGetUuid");
    *uuid = (CUuuid){"nemocc emulator"};
    uuid->bytes[15] = (char)device;
    return nmemu_done(r ? r : check_device(device));
}

static const struct {
    CUdevice_attribute attribute;
    int value;
} attributes[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 227 << 10},
};

static CUresult find_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ||
        attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) {
        bool major = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
        *value = major ? nmemu_drv.capability / 10 : nmemu_drv.capability % 10;
        return check_device(device);
    }
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (attributes[i].attribute == attribute) {
            *value = attributes[i].value;
            return check_device(device);
        }
    return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "the emulator does not know attribute %d",
                     attribute);
}

static CUresult get_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    CUresult r = nmemu_call("cuDeviceGetAttribute");
    return nmemu_done(r ? r : find_attribute(value, attribute, device));
}

// --- memory --------------------------------------------------------------------------------------

static size_t total_memory(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static CUresult get_total(size_t *bytes, CUdevice device)
{
    CUresult r = nmemu_call("cuDeviceTotalMem");
    *bytes = total_memory();
    return nmemu_done(r ? r : check_device(device));
}

size_t nmemu_available_memory(void)
{
    char line[128];
    size_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && !kib && fgets(line, sizeof line, f))
        sscanf(line, "MemAvailable: %zu kB", &kib);
    if (f)
        fclose(f);
    return kib ? kib << 10 : total_memory();
}

static CUresult get_memory(size_t *available, size_t *total)
{
    CUresult r = nmemu_call_in_context("cuMemGetInfo");
    *total = total_memory();
    *available = nmemu_available_memory();
    return nmemu_done(r);
}

// --- contexts ------------------------------------------------------------------------------------

static CUresult retain(CUcontext *context, CUdevice device)
{
    CUresult r = check_device(device);
    if (r)
        return r;
    CUcontext c = *context = &contexts[device];
    c->ordinal = device;
    if (!c->machine && !(c->machine = nmemu_new(nmemu_drv.workers)))
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory for a device");
    c->retained++;
    return CUDA_SUCCESS;
}

static CUresult context_retain(CUcontext *context, CUdevice device)
{
    CUresult r = nmemu_call("cuDevicePrimaryCtxRetain");
    return nmemu_done(r ? r : retain(context, device));
}

// The last release takes streams, memory and modules, unfinished work too, and cures what a misuse
// broke, as a reset of the context does.
static CUresult let_go(CUdevice device)
{
    CUresult r = check_device(device);
    CUcontext c = r ? NULL : &contexts[device];
    if (r)
        return r;
    if (!c->retained)
        return nmemu_say(CUDA_ERROR_INVALID_CONTEXT, "device %d was not retained", device);
    if (--c->retained)
        return CUDA_SUCCESS;
    nmemu_drop_streams(c);
    nmemu_drop_modules(c);
    nmemu_free(c->machine);
    c->machine = NULL;
    nmemu_drv.broken = CUDA_SUCCESS;
    return CUDA_SUCCESS;
}

// Also after a misuse: so that a process can end in order.
static CUresult context_release(CUdevice device)
{
    CUresult r = nmemu_call("cuDevicePrimaryCtxRelease");
    return nmemu_done(r && !nmemu_drv.broken ? r : let_go(device));
}

static CUresult set_current(CUcontext context)
{
    CUresult r = nmemu_call("cuCtxSetCurrent");
    if (!r && context && !context->machine)
        r = nmemu_say(CUDA_ERROR_INVALID_CONTEXT, "the context was released");
    if (!r)
        current = context;
    return nmemu_done(r);
}

void nmemu_fill_devices(nmrt_gpu_api *t)
{
    t->cuDeviceGetCount = get_count;
    t->cuDeviceGet = get_device;
    t->cuDeviceGetName = get_name;
    t->cuDeviceGetUuid = get_uuid;
    t->cuDeviceGetAttribute = get_attribute;
    t->cuDeviceTotalMem = get_total;
    t->cuMemGetInfo = get_memory;
    t->cuDevicePrimaryCtxRetain = context_retain;
    t->cuDevicePrimaryCtxRelease = context_release;
    t->cuCtxSetCurrent = set_current;
}
