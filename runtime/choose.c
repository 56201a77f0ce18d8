// --device, --precision.
#include "runtime/choose.h"

#include "runtime/gpu/load.h"
#include "runtime/null_device.h"

#include <string.h>
#include <unistd.h>

static const char any[] = "auto"; // precision

const nmdrv_program *nmrt_program_find(nmdrv_flavour flavour, const char *precision)
{
    for (const nmdrv_program *const *p = nemocc_programs; *p; p++)
        if ((*p)->flavour == (int64_t)flavour &&
            (strcmp(precision, any) == 0 || strcmp(precision, (*p)->precision) == 0))
            return *p;
    return NULL;
}

static bool has_images(const nmdrv_program *p) { return p && p->image && p->image->data; }

// A machine without the driver's files is not asked.
static bool has_gpu(void)
{
    bool driver = access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
    return driver && nmrt_gpu_count() > 0;
}

static const nmrt_device_ops *find_auto(void)
{
    const nmdrv_program *gpu = nmrt_program_find(NMDRV_GPU, any);
    bool alone = !nmrt_program_find(NMDRV_HOST, any);
    return has_images(gpu) && (alone || has_gpu()) ? &nmrt_device_cuda : &nmrt_device_host;
}

static const nmrt_device_ops *find_named(const char *name)
{
    static const nmrt_device_ops *const all[] = {&nmrt_device_host, &nmrt_device_cuda,
                                                 &nmrt_device_emu, &nmrt_device_null};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0)
            return all[i];
    return find_auto();
}

// Is there what the device runs?
static bool is_compiled(const nmrt_choice *c)
{
    if (!c->program)
        return false;
    if (c->device == &nmrt_device_emu)
        return nmrt_gpu_emulator != NULL;
    return c->device != &nmrt_device_cuda || has_images(c->program);
}

// The devices that the binary has programs for: "host, null".
static const char *compiled(void)
{
    static char list[64];
    static const nmrt_device_ops *const all[] = {&nmrt_device_host, &nmrt_device_cuda,
                                                 &nmrt_device_emu, &nmrt_device_null};
    *list = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        nmrt_choice c = {.device = all[i], .program = nmrt_program_find(all[i]->flavour, any)};
        if (!is_compiled(&c))
            continue;
        strcat(list, *list ? ", " : "");
        strcat(list, all[i]->name);
    }
    return list;
}

nmrt_status nmrt_choose(const char *device, const char *precision, nmrt_choice *choice,
                        nmrt_error *e)
{
    choice->device = find_named(device);
    choice->program = nmrt_program_find(choice->device->flavour, any);
    if (!is_compiled(choice))
        return nmrt_fail(e, NMRT_USAGE,
                         "this binary was compiled for --device %s alone: for %s, compile it with "
                         "--target %s",
                         compiled(), choice->device->name, choice->device->name);
    choice->program = nmrt_program_find(choice->device->flavour, precision);
    if (choice->program)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE,
                     "this binary was not compiled to compute in %s: compile it with "
                     "--precision f32,bf16",
                     precision);
}
