// --device, --precision, --fp8-recipe.
#include "runtime/choose.h"

#include "runtime/gpu/load.h"
#include "runtime/null_device.h"

#include <string.h>
#include <unistd.h>

static const char any[] = "auto"; // precision, recipe
static const nmrt_numbers any_numbers = {any, any};

static bool names(const char *wanted, const char *name)
{
    return strcmp(wanted, any) == 0 || strcmp(wanted, name) == 0;
}

const nmdrv_program *nmrt_program_find(nmdrv_flavour flavour, nmrt_numbers n)
{
    for (const nmdrv_program *const *p = nemocc_programs; *p; p++)
        if ((*p)->flavour == (int64_t)flavour && names(n.precision, (*p)->precision) &&
            (!*(*p)->recipe || names(n.recipe, (*p)->recipe)))
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
    const nmdrv_program *gpu = nmrt_program_find(NMDRV_GPU, any_numbers);
    bool alone = !nmrt_program_find(NMDRV_HOST, any_numbers);
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
        nmrt_choice c = {.device = all[i],
                         .program = nmrt_program_find(all[i]->flavour, any_numbers)};
        if (!is_compiled(&c))
            continue;
        strcat(list, *list ? ", " : "");
        strcat(list, all[i]->name);
    }
    return list;
}

static nmrt_status refuse(nmdrv_flavour flavour, nmrt_numbers n, nmrt_error *e)
{
    if (nmrt_program_find(flavour, (nmrt_numbers){n.precision, any}))
        return nmrt_fail(e, NMRT_USAGE,
                         "this binary was not compiled with the scales of --fp8-recipe %s: compile "
                         "it with that",
                         n.recipe);
    bool fp8 = strcmp(n.precision, "fp8") == 0;
    return nmrt_fail(e, NMRT_USAGE,
                     "this binary was not compiled to compute in %s: compile it with "
                     "--precision f32,bf16%s",
                     n.precision, fp8 ? ",fp8" : "");
}

nmrt_status nmrt_choose(const char *device, nmrt_numbers numbers, nmrt_choice *choice,
                        nmrt_error *e)
{
    choice->device = find_named(device);
    choice->program = nmrt_program_find(choice->device->flavour, any_numbers);
    if (!is_compiled(choice))
        return nmrt_fail(e, NMRT_USAGE,
                         "this binary was compiled for --device %s alone: for %s, compile it with "
                         "--target %s",
                         compiled(), choice->device->name, choice->device->name);
    choice->program = nmrt_program_find(choice->device->flavour, numbers);
    return choice->program ? NMRT_OK : refuse(choice->device->flavour, numbers, e);
}
