// With --check-memory, on a device that knows its allocations' bounds, each buffer is one by
// itself, of its own size and under its name; else, and elsewhere, they lie in the plan's packed
// memory.
#include "runtime/engine.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

// --- a function with a slot and two transients ---------------------------------------------------

static void run(nmdrv_frame *f) { (void)f; }

static void sizes(const nmdrv_sym *sym, int64_t *bytes)
{
    (void)sym;
    bytes[0] = 4;
    bytes[1] = 100;
    bytes[2] = 6;
}

static const nmdrv_buf bufs[] = {{NMDRV_BUF_BOUND, 0, 1, "loss", ""},
                                 {NMDRV_BUF_TRANSIENT, 0, 0, "h", "t.nm:3"},
                                 {NMDRV_BUF_TRANSIENT, 1, 1, "", ""}};
static const nmdrv_arg loss = {
    .bind = NMDRV_ACC, .name = "loss", .buf = 0, .dtype = NMDRV_F32, .index_of = -1, .next = ""};
static const nmdrv_func func = {.name = "train.micro",
                                .role = NMDRV_MICRO,
                                .entry = "",
                                .mode = -1,
                                .turns = -1,
                                .recompute = -1,
                                .products = -1,
                                .run = run,
                                .sizes = sizes,
                                .n_bufs = 3,
                                .n_args = 1,
                                .buf = bufs,
                                .arg = &loss};
static const nmdrv_program program = {.version = NMDRV_VERSION, .n_funcs = 1, .func = &func};

// --- a device that remembers what it is asked for ------------------------------------------------

enum { MOST = 16 };
static struct {
    char *at, name[64];
    int64_t bytes, poisoned;
} blocks[MOST];
static int n_blocks, n_freed;

static nmrt_status device_open(nmrt_device **d, const nmrt_device_request *r, nmrt_error *e)
{
    (void)r, (void)e;
    static char anything;
    *d = (nmrt_device *)(void *)&anything;
    n_blocks = n_freed = 0;
    return NMRT_OK;
}

static void device_close(nmrt_device *d) { (void)d; }

static nmrt_status device_alloc(nmrt_device *d, int64_t bytes, void **at, nmrt_error *e)
{
    (void)d, (void)e;
    *at = calloc(1, (size_t)bytes + 1);
    memset(&blocks[n_blocks], 0, sizeof *blocks);
    blocks[n_blocks].at = *at;
    blocks[n_blocks++].bytes = bytes;
    return NMRT_OK;
}

static void device_free(nmrt_device *d, void *at, int64_t bytes)
{
    (void)d;
    for (int i = 0; i < n_blocks; i++)
        n_freed += at && blocks[i].at == at && blocks[i].bytes == bytes;
    free(at);
}

static void device_name(nmrt_device *d, void *at, const char *name)
{
    (void)d;
    for (int i = 0; i < n_blocks; i++)
        if (blocks[i].at == at)
            snprintf(blocks[i].name, sizeof blocks[i].name, "%s", name);
}

static void device_fill(nmrt_device *d, void *at, int64_t bytes, uint32_t pattern)
{
    (void)d, (void)pattern;
    for (int i = 0; i < n_blocks; i++)
        if (blocks[i].at == at)
            blocks[i].poisoned = bytes;
}

static void device_poison(nmrt_device *d, uint32_t pattern) { (void)d, (void)pattern; }

static void device_run(nmrt_device *d, const nmdrv_func *f, nmdrv_frame *frame)
{
    (void)d;
    f->run(frame);
}

static void device_end(nmrt_device *d, const nmdrv_func *f) { (void)d, (void)f; }

static const nmrt_device_ops packed = {.name = "packed",
                                       .open = device_open,
                                       .close = device_close,
                                       .alloc = device_alloc,
                                       .free = device_free,
                                       .fill = device_fill,
                                       .poison_scratch = device_poison,
                                       .run = device_run,
                                       .end_call = device_end};

// --- the tests -----------------------------------------------------------------------------------

static int64_t bytes_of(const char *name)
{
    for (int i = 0; i < n_blocks; i++)
        if (strcmp(blocks[i].name, name) == 0)
            return blocks[i].bytes;
    return -1;
}

static int64_t poisoned_of(const char *name)
{
    for (int i = 0; i < n_blocks; i++)
        if (strcmp(blocks[i].name, name) == 0)
            return blocks[i].poisoned;
    return -1;
}

// Runs the function once; returns how many allocations there were.
static int run_once(const nmrt_device_ops *ops, bool apart)
{
    nmrt_error e = {0};
    nmdrv_sym none = {0};
    nmrt_engine en;
    nmrt_plan plan = {.program = &program, .apart = apart};
    nmrt_device_request request = {.program = &program};
    CHECK(nmrt_plan_add(&plan, &func, &none, NULL, &e) == NMRT_OK);
    nmrt_plan_finish(&plan, 1);
    CHECK(nmrt_engine_open(&en, &plan, ops, &request, &e) == NMRT_OK);
    en.check_memory = apart;
    nmrt_engine_call(&en, &plan.func[0], &none);
    CHECK(nmrt_engine_slot_at(&en, &plan.slot[0]) == en.buf[0][0]);
    int n = n_blocks;
    nmrt_engine_close(&en);
    CHECK(n_freed == n);
    nmrt_plan_release(&plan);
    return n;
}

int main(void)
{
    nmrt_device_ops bounded = packed;
    bounded.set_name = device_name;
    CHECK(run_once(&packed, false) == 3); // slots, arena, links
    CHECK(run_once(&packed, true) == 3);
    CHECK(run_once(&bounded, false) == 3);
    CHECK(run_once(&bounded, true) == 4); // links, and each buffer
    CHECK(bytes_of("loss") == 4);
    CHECK(bytes_of("train.micro: h at t.nm:3") == 100);
    CHECK(bytes_of("train.micro: transient") == 6);
    CHECK(poisoned_of("train.micro: h at t.nm:3") == 100);
    CHECK(poisoned_of("train.micro: transient") == 4); // whole words
    CHECK(poisoned_of("loss") == 0);
    return check_result();
}
