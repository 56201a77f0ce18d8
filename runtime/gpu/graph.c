// CUDA graphs. What a function's driver enqueues depends on its symbols and buffers alone, and a
// step calls the same functions on the same ones as the step before. So a call that is seen for the
// second time is captured, and from then on it is one launch instead of hundreds. NCCL's stream is
// forked and joined in the capture by the events with which launches begin and are waited for.
#include "runtime/gpu/nccl.h"

#include "runtime/hash.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 1024, MOST = PLACES / 2 }; // calls beyond these are never captured

typedef enum { NEW, SEEN, CAPTURED, PLAIN } state;

typedef struct call {
    state state;
    const nmdrv_func *func; // NULL: the place is free
    void *key;              // [n_syms] nmdrv_sym, [n_bufs] addresses
    CUgraphExec graph;
    nmrt_gpu_deeds deeds; // NCCL's launches in it
} call;

typedef struct nmrt_gpu_graphs {
    int n;
    call at[PLACES]; // found by hashing
} nmrt_gpu_graphs;

// --- calls that were met -------------------------------------------------------------------------

static size_t sym_bytes(const nmrt_device *d)
{
    return (size_t)d->program->n_syms * sizeof(nmdrv_sym);
}

static size_t buf_bytes(const nmdrv_func *func) { return (size_t)func->n_bufs * sizeof(void *); }

static bool is_call(const nmrt_device *d, const call *c, const nmdrv_func *func,
                    const nmdrv_frame *f)
{
    size_t n = sym_bytes(d);
    return c->func == func && memcmp(c->key, f->sym, n) == 0 &&
           memcmp((const char *)c->key + n, f->buf, buf_bytes(func)) == 0;
}

static size_t place_of(const nmrt_device *d, const nmdrv_func *func, const nmdrv_frame *f)
{
    nmrt_hash h;
    int64_t index = func - d->program->func;
    nmrt_hash_init(&h);
    nmrt_hash_add(&h, &index, sizeof index);
    nmrt_hash_add(&h, f->sym, sym_bytes(d));
    nmrt_hash_add(&h, f->buf, buf_bytes(func));
    return (size_t)nmrt_hash_value(&h) % PLACES;
}

static bool note(const nmrt_device *d, call *c, const nmdrv_func *func, const nmdrv_frame *f)
{
    size_t n = sym_bytes(d);
    char *key = malloc(n + buf_bytes(func) + 1);
    if (!key)
        return false;
    memcpy(key, f->sym, n);
    memcpy(key + n, f->buf, buf_bytes(func));
    *c = (call){.func = func, .key = key};
    return true;
}

// NULL: there is no room for another.
static call *find(nmrt_device *d, const nmdrv_func *func, const nmdrv_frame *f)
{
    nmrt_gpu_graphs *all = d->graphs;
    size_t i = place_of(d, func, f);
    while (all->at[i].func && !is_call(d, &all->at[i], func, f))
        i = (i + 1) % PLACES;
    call *c = &all->at[i];
    if (c->func)
        return c;
    if (all->n == MOST || !note(d, c, func, f))
        return NULL;
    all->n++;
    return c;
}

// --- calls ---------------------------------------------------------------------------------------

static void run_first(nmrt_device *d, call *c, nmdrv_frame *f)
{
    int64_t before = d->n_apart;
    c->func->run(f);
    c->state = d->n_apart > before ? PLAIN : SEEN;
}

static void run_captured(nmrt_device *d, call *c, nmdrv_frame *f)
{
    if (d->nccl)
        nmrt_gpu_lane_capture(d->nccl->lane, &c->deeds);
    c->func->run(f);
    if (d->nccl)
        nmrt_gpu_lane_capture(d->nccl->lane, NULL);
}

static void capture(nmrt_device *d, call *c, nmdrv_frame *f)
{
    static const char tried[] = "a CUDA graph cannot be made; --graphs 0 does without";
    const nmrt_gpu_api *api = d->api;
    CUgraph graph;
    nmrt_gpu_must(d, api->cuStreamBeginCapture(d->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                  tried);
    run_captured(d, c, f);
    nmrt_gpu_must(d, api->cuStreamEndCapture(d->stream, &graph), tried);
    nmrt_gpu_must(d, api->cuGraphInstantiateWithFlags(&c->graph, graph, 0), tried);
    nmrt_gpu_must(d, api->cuGraphDestroy(graph), tried);
    c->state = CAPTURED;
}

static void launch(nmrt_device *d, const call *c)
{
    int64_t number = 0;
    nmrt_comm_moved(d->comm);
    d->last_graph = c->func;
    if (c->deeds.n)
        number = nmrt_gpu_lane_graph(d, d->nccl->lane, &c->deeds);
    nmrt_gpu_must(d, d->api->cuGraphLaunch(c->graph, d->stream), c->func->name);
    if (c->deeds.n)
        nmrt_gpu_lane_graph_end(d, d->nccl->lane, number);
}

void nmrt_gpu_run(nmrt_device *d, const nmdrv_func *func, nmdrv_frame *f)
{
    call *c = d->graphs && !nmrt_gpu_traces(d) ? find(d, func, f) : NULL;
    if (c && c->state == NEW) {
        run_first(d, c, f);
        return;
    }
    if (!c || c->state == PLAIN) {
        func->run(f);
        return;
    }
    if (c->state == SEEN)
        capture(d, c, f);
    launch(d, c);
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_gpu_graphs_open(nmrt_device *d, nmrt_error *e)
{
    d->graphs = calloc(1, sizeof *d->graphs);
    return d->graphs ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for the graphs");
}

void nmrt_gpu_graphs_close(nmrt_device *d)
{
    for (int i = 0; d->graphs && i < PLACES; i++) {
        if (d->graphs->at[i].graph)
            d->api->cuGraphExecDestroy(d->graphs->at[i].graph);
        free(d->graphs->at[i].key);
        free(d->graphs->at[i].deeds.at);
    }
    free(d->graphs);
}
