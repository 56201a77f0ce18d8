// The transport over MPI, whose library is found at run time: nothing of it is needed to build.
//
// Two binary interfaces exist. In Open MPI handles are pointers, and constants the addresses of its
// symbols; in MPICH and its kin (Intel, Cray, MVAPICH) handles are ints with fixed values
// (mpich.org: ABI compatibility initiative). Calls here pass every handle as a word: an int's
// callee reads the low half of it. A request is a word of memory, of which an int's library uses
// the first half. Nobody looks at a status.
//
// One thread at a time calls MPI: the rank's own, or that of launches under way. A rank moves bytes
// only while one of them waits; health goes over TCP, by an address that rank 0 broadcasts.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SERIALIZED = 2, TAG = 7, PIECE = 1 << 30, SPIN = 200, PLACES = 8, NAME = 64 };
static const double TRY = 3; // seconds to connect to one of rank 0's addresses

typedef void *handle; // a word

typedef struct library {
    int (*Init_thread)(int *argc, char ***argv, int required, int *provided);
    int (*Initialized)(int *flag);
    int (*Query_thread)(int *provided);
    int (*Comm_rank)(handle comm, int *rank);
    int (*Comm_size)(handle comm, int *size);
    int (*Comm_set_errhandler)(handle comm, handle errhandler);
    int (*Bcast)(void *at, int count, handle type, int root, handle comm);
    int (*Isend)(const void *at, int count, handle type, int to, int tag, handle comm, handle *r);
    int (*Irecv)(void *at, int count, handle type, int from, int tag, handle comm, handle *r);
    int (*Test)(handle *r, int *flag, void *status);
    int (*Cancel)(handle *r);
    int (*Request_free)(handle *r);
    int (*Finalize)(void);
    handle world, byte, errors_return;
    void *ignore; // MPI_STATUS_IGNORE
    const char *name;
} library;

typedef struct way { // one direction with one peer
    struct iovec left[2];
    handle request;
    int64_t piece; // bytes under way; 0: none
} way;

typedef struct mpi {
    nmrt_transport table; // first: a transport is its mpi
    library lib;
    int ranks, rank;
    way *in, *out; // [ranks]
    bool *lost;    // [ranks]
} mpi;

// --- the library ---------------------------------------------------------------------------------

static void *open_library(const char **name)
{
    static const char *const open_mpi[] = {"libmpi.so.40", "libmpi.so", NULL}, *const mpich[] = {
                                                                                   "libmpich.so.12",
                                                                                   "libmpi.so.12",
                                                                                   "libmpich.so",
                                                                                   "libmpi.so",
                                                                                   NULL};
    const char *given = getenv("NEMOCC_MPI_PATH");
    if (given && *given) {
        *name = given;
        return dlopen(given, RTLD_NOW | RTLD_GLOBAL);
    }
    for (const char *const *n = getenv("PMI_RANK") ? mpich : open_mpi; *n; n++) {
        void *found = dlopen(*n, RTLD_NOW | RTLD_GLOBAL); // its plugins look for its symbols
        *name = *n;
        if (found)
            return found;
    }
    return NULL;
}

bool nmrt_wire_has_mpi(void)
{
    const char *name;
    return open_library(&name) != NULL;
}

static void take_constants(library *l, void *so)
{
    if (dlsym(so, "ompi_mpi_comm_world")) {
        l->world = dlsym(so, "ompi_mpi_comm_world");
        l->byte = dlsym(so, "ompi_mpi_byte");
        l->errors_return = dlsym(so, "ompi_mpi_errors_return");
        l->ignore = NULL;
    } else {
        l->world = (handle)(uintptr_t)0x44000000;
        l->byte = (handle)(uintptr_t)0x4c00010d;
        l->errors_return = (handle)(uintptr_t)0x54000001;
        l->ignore = (void *)(uintptr_t)1;
    }
}

static nmrt_status load_library(library *l, nmrt_error *e)
{
    const char *missing = NULL;
    void *so = open_library(&l->name);
    if (!so)
        return nmrt_fail(e, NMRT_WORLD,
                         "cannot load MPI (%s): install Open MPI or MPICH, set NEMOCC_MPI_PATH to "
                         "its library, or take --comm tcp",
                         dlerror());
    take_constants(l, so);
    // clang-format off
#define FIND(function)                                              \
    do {                                                            \
        *(void **)(void *)&l->function = dlsym(so, "MPI_" #function); \
        if (!l->function)                                           \
            missing = "MPI_" #function;                             \
    } while (0)
    // clang-format on
    FIND(Init_thread);
    FIND(Initialized);
    FIND(Query_thread);
    FIND(Comm_rank);
    FIND(Comm_size);
    FIND(Comm_set_errhandler);
    FIND(Bcast);
    FIND(Isend);
    FIND(Irecv);
    FIND(Test);
    FIND(Cancel);
    FIND(Request_free);
    FIND(Finalize);
#undef FIND
    if (missing || !l->world || !l->byte || !l->errors_return)
        return nmrt_fail(e, NMRT_WORLD, "%s is no MPI library that is known here: it lacks %s",
                         l->name, missing ? missing : "its constants");
    return NMRT_OK;
}

// --- transfers -----------------------------------------------------------------------------------

static size_t left_of(const way *w) { return w->left[0].iov_len + w->left[1].iov_len; }

// The next piece of what is left: a part is never joined with the other, so both sides cut alike.
static struct iovec next_piece(const way *w)
{
    struct iovec v = w->left[0].iov_len ? w->left[0] : w->left[1];
    v.iov_len = v.iov_len < PIECE ? v.iov_len : PIECE;
    return v;
}

static void start(mpi *t, int peer, way *w)
{
    const library *l = &t->lib;
    struct iovec v = next_piece(w);
    int failure =
        w == &t->in[peer]
            ? l->Irecv(v.iov_base, (int)v.iov_len, l->byte, peer, TAG, l->world, &w->request)
            : l->Isend(v.iov_base, (int)v.iov_len, l->byte, peer, TAG, l->world, &w->request);
    w->piece = failure ? 0 : (int64_t)v.iov_len;
    t->lost[peer] |= failure != 0;
}

static bool step(mpi *t, int peer, way *w)
{
    int done = 0;
    if (!w->piece || t->lost[peer])
        return false;
    if (t->lib.Test(&w->request, &done, t->lib.ignore))
        t->lost[peer] = true;
    if (!done || t->lost[peer])
        return false;
    struct iovec *v = &w->left[w->left[0].iov_len ? 0 : 1];
    v->iov_base = (char *)v->iov_base + w->piece;
    v->iov_len -= (size_t)w->piece;
    w->piece = 0;
    if (left_of(w))
        start(t, peer, w);
    return true;
}

static void mpi_send(nmrt_transport *transport, int to, const struct iovec part[2])
{
    mpi *t = (mpi *)transport;
    t->out[to].left[0] = part[0];
    t->out[to].left[1] = part[1];
    start(t, to, &t->out[to]);
}

static void mpi_recv(nmrt_transport *transport, int from, void *at, int64_t bytes)
{
    mpi *t = (mpi *)transport;
    t->in[from].left[0] = (struct iovec){at, (size_t)bytes};
    start(t, from, &t->in[from]);
}

static bool mpi_is_sent(const nmrt_transport *t, int to)
{
    return !left_of(&((const mpi *)t)->out[to]);
}

static bool mpi_is_received(const nmrt_transport *t, int from)
{
    return !left_of(&((const mpi *)t)->in[from]);
}

static bool mpi_is_lost(const nmrt_transport *t, int peer) { return ((const mpi *)t)->lost[peer]; }

static bool step_all(mpi *t)
{
    bool moved = false;
    for (int i = 0; i < t->ranks; i++) {
        moved |= step(t, i, &t->in[i]);
        moved |= step(t, i, &t->out[i]);
    }
    return moved;
}

// MPI has no wait with a limit that leaves the processor to others: a few looks, then short sleeps.
static bool mpi_progress(nmrt_transport *transport, int ms)
{
    const struct timespec nap = {0, 20000};
    double until = nmrt_seconds() + ms / 1e3;
    for (int i = 0; !step_all((mpi *)transport); i++) {
        if (nmrt_seconds() > until)
            return false;
        if (i > SPIN)
            nanosleep(&nap, NULL);
    }
    return true;
}

static void release(mpi *t)
{
    free(t->in);
    free(t->out);
    free(t->lost);
    free(t);
}

static void cancel_all(mpi *t)
{
    for (int i = 0; i < t->ranks; i++)
        if (t->in[i].piece) {
            t->lib.Cancel(&t->in[i].request);
            t->lib.Request_free(&t->in[i].request);
        }
}

// After a failure nothing more is asked of MPI, which would wait for the lost: mpirun sees the code
// of the exit.
static void mpi_close(nmrt_transport *transport, bool well)
{
    mpi *t = (mpi *)transport;
    if (well) {
        cancel_all(t);
        t->lib.Finalize();
        release(t);
    }
}

// --- the start -----------------------------------------------------------------------------------

typedef struct invitation { // what rank 0 tells all of itself
    uint64_t run;
    int32_t n;
    char host[NAME];
    nmrt_place place[PLACES];
} invitation;

static bool is_usable(const struct ifaddrs *a)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a->ifa_addr;
    if (!a->ifa_addr || !(a->ifa_flags & IFF_UP))
        return false;
    return a->ifa_addr->sa_family == AF_INET ||
           (a->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr));
}

static invitation invite(int listener)
{
    invitation v = {.run = (uint64_t)getpid() << 32 | (uint32_t)(nmrt_seconds() * 1e6)};
    struct ifaddrs *all = NULL;
    gethostname(v.host, sizeof v.host - 1);
    if (getifaddrs(&all))
        all = NULL;
    for (const struct ifaddrs *a = all; a && v.n < PLACES; a = a->ifa_next)
        if (is_usable(a)) {
            memcpy(&v.place[v.n].at, a->ifa_addr,
                   a->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                     : sizeof(struct sockaddr_in6));
            nmrt_place_set_port(&v.place[v.n++], nmrt_socket_port(listener));
        }
    if (all)
        freeifaddrs(all);
    return v;
}

// A loopback is an address of rank 0 on its own host only, and there it is the only one to try.
static nmrt_status accept_invitation(const nmrt_ranks *ranks, const invitation *v, int *fd,
                                     nmrt_error *e)
{
    char host[NAME] = "";
    gethostname(host, sizeof host - 1);
    bool same_host = strcmp(host, v->host) == 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < v->n; i++) {
            if (nmrt_place_is_loopback(&v->place[i]) != (same_host && pass == 0))
                continue;
            *fd = nmrt_socket_connect(&v->place[i], nmrt_seconds() + TRY);
            if (*fd >= 0)
                return NMRT_OK;
        }
    return nmrt_fail(e, NMRT_WORLD, "rank %d cannot reach rank 0 at %s by any of its %d addresses",
                     ranks->rank, v->host, (int)v->n);
}

static nmrt_status meet(const mpi *t, const nmrt_ranks *ranks, nmrt_roll *roll, nmrt_error *e)
{
    int fd = -1;
    invitation v = {0};
    if (ranks->rank == 0) {
        NMRT_TRY(nmrt_socket_listen(0, &fd, e));
        v = invite(fd);
    }
    if (t->lib.Bcast(&v, (int)sizeof v, t->lib.byte, 0, t->lib.world))
        return nmrt_fail(e, NMRT_WORLD, "MPI cannot broadcast: see its own messages");
    const nmrt_guest self = {.run = v.run};
    if (ranks->rank == 0) {
        nmrt_status status = nmrt_wire_host(roll, ranks, fd, &self, e);
        close(fd);
        return status;
    }
    NMRT_TRY(accept_invitation(ranks, &v, &fd, e));
    return nmrt_wire_join(roll, ranks, fd, &self, e);
}

static nmrt_status init_library(mpi *t, const nmrt_ranks *ranks, nmrt_error *e)
{
    int begun = 0, level = 0, rank = -1, size = -1;
    library *l = &t->lib;
    NMRT_TRY(load_library(l, e));
    if (l->Initialized(&begun) || (!begun && l->Init_thread(NULL, NULL, SERIALIZED, &level)) ||
        l->Query_thread(&level))
        return nmrt_fail(e, NMRT_WORLD, "%s cannot start: see its own messages", l->name);
    t->table.one_thread = level < SERIALIZED;
    l->Comm_set_errhandler(l->world, l->errors_return);
    l->Comm_rank(l->world, &rank);
    l->Comm_size(l->world, &size);
    if (rank != ranks->rank || size != ranks->world)
        return nmrt_fail(e, NMRT_WORLD,
                         "by %s this is rank %d of %d, by %s it is rank %d of %d: set "
                         "NEMOCC_MPI_PATH to the library that belongs to the launcher, or take "
                         "--comm tcp",
                         l->name, rank, size, nmrt_start_name(ranks->start), ranks->rank,
                         ranks->world);
    return NMRT_OK;
}

static mpi *new_mpi(const nmrt_ranks *ranks)
{
    size_t n = (size_t)ranks->world;
    mpi *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (mpi){.table = {"mpi", false, mpi_send, mpi_recv, mpi_is_sent, mpi_is_received,
                         mpi_is_lost, mpi_progress, mpi_close},
               .ranks = ranks->world,
               .rank = ranks->rank,
               .in = calloc(n, sizeof *t->in),
               .out = calloc(n, sizeof *t->out),
               .lost = calloc(n, sizeof *t->lost)};
    if (t->in && t->out && t->lost)
        return t;
    release(t);
    return NULL;
}

nmrt_status nmrt_wire_mpi(nmrt_transport **transport, const nmrt_ranks *ranks, nmrt_roll *roll,
                          nmrt_error *e)
{
    mpi *t = new_mpi(ranks);
    if (!t)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %d ranks", ranks->world);
    nmrt_status status = init_library(t, ranks, e);
    if (status == NMRT_OK)
        status = meet(t, ranks, roll, e);
    *transport = &t->table;
    if (status != NMRT_OK)
        release(t);
    return status;
}
