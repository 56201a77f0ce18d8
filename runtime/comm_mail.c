// Messages between forked ranks. A channel (from, to, tag) is a ring of places in shared memory; a
// message is copied into a buffer of the sender's arena, which is free again once the receiver has
// counted it as taken. Buffers are the sender's own and are made when all others are under way, so
// there are as many as there ever were messages at once. With PLACES under way the sender waits.
#include "runtime/local.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 4096, PLACES = 64 };

typedef struct message {
    const void *at;
    int64_t bytes;
} message;

typedef struct channel {
    _Atomic uint64_t key; // 0: free
    nmrt_bell sent, taken;
    message place[PLACES];
} channel;

typedef struct buffer { // of a channel that this rank sends on
    int channel;
    unsigned message; // the number of the one that it holds
    int64_t bytes;
    void *at;
} buffer;

struct nmrt_mail {
    nmrt_local *local;
    nmrt_arena *arena;
    int rank, n_buffers;
    buffer *buffer;
};

size_t nmrt_mail_bytes(void) { return CHANNELS * sizeof(channel); }

nmrt_status nmrt_mail_new(nmrt_mail **mail, nmrt_local *local, int rank, nmrt_arena *arena,
                          nmrt_error *e)
{
    *mail = calloc(1, sizeof **mail);
    if (!*mail)
        return nmrt_fail(e, NMRT_WORLD, "no memory for messages");
    **mail = (nmrt_mail){.local = local, .arena = arena, .rank = rank};
    return NMRT_OK;
}

void nmrt_mail_free(nmrt_mail *mail)
{
    free(mail->buffer);
    free(mail);
}

// Open addressing by (from, to, tag), which fit into a word.
static int find_channel(const nmrt_mail *mail, int from, int to, int tag)
{
    uint64_t key = (uint64_t)1 << 63 | (uint64_t)from << 44 | (uint64_t)to << 24 | (unsigned)tag;
    channel *all = (channel *)mail->local->channels;
    for (int i = 0; i < CHANNELS; i++) {
        int at = (int)((key % 4093 + (uint64_t)i) % CHANNELS);
        uint64_t found = 0;
        if (atomic_compare_exchange_strong(&all[at].key, &found, key) || found == key)
            return at;
    }
    return -1;
}

static nmrt_status open_channel(const nmrt_mail *mail, int from, int to, int tag, channel **ch,
                                nmrt_error *e)
{
    int at = tag >= 0 && tag < 1 << 24 ? find_channel(mail, from, to, tag) : -1;
    if (at < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "there is no channel %d from rank %d to rank %d", tag,
                         from, to);
    *ch = (channel *)mail->local->channels + at;
    return NMRT_OK;
}

// A buffer of the channel whose message is taken, large enough, or a new one.
static nmrt_status take_buffer(nmrt_mail *mail, channel *ch, int64_t bytes, buffer **b,
                               nmrt_error *e)
{
    int at = (int)(ch - (channel *)mail->local->channels);
    unsigned taken = atomic_load_explicit(&ch->taken.count, memory_order_acquire);
    for (int i = 0; i < mail->n_buffers; i++) {
        *b = &mail->buffer[i];
        if ((*b)->channel == at && (*b)->bytes >= bytes && (int)((*b)->message - taken) < 0)
            return NMRT_OK;
    }
    buffer *all = realloc(mail->buffer, (size_t)(mail->n_buffers + 1) * sizeof *all);
    if (!all)
        return nmrt_fail(e, NMRT_WORLD, "no memory for messages");
    mail->buffer = all;
    *b = &all[mail->n_buffers];
    **b = (buffer){.channel = at, .bytes = bytes};
    NMRT_TRY(nmrt_arena_alloc(mail->arena, bytes, &(*b)->at, e));
    mail->n_buffers++;
    return NMRT_OK;
}

static void note(const nmrt_mail *mail, const char *verb, int peer, const char *what,
                 const char *where, int64_t bytes)
{
    nmrt_recorder_enter(mail->local->recorder, mail->rank,
                        &(nmrt_note){verb, what, where, -1, peer, bytes});
}

nmrt_status nmrt_mail_send(nmrt_mail *mail, int to, int tag, const void *at, int64_t bytes,
                           const char *what, const char *where, nmrt_error *e)
{
    channel *ch;
    buffer *b;
    NMRT_TRY(open_channel(mail, mail->rank, to, tag, &ch, e));
    note(mail, "send to", to, what, where, bytes);
    unsigned number = atomic_load_explicit(&ch->sent.count, memory_order_relaxed);
    NMRT_TRY(nmrt_bell_wait(mail->local, mail->rank, &ch->taken, number - PLACES + 1, e));
    NMRT_TRY(take_buffer(mail, ch, bytes, &b, e));
    memcpy(b->at, at, (size_t)bytes);
    b->message = number;
    ch->place[number % PLACES] = (message){b->at, bytes};
    nmrt_bell_ring(&ch->sent);
    nmrt_recorder_leave(mail->local->recorder, mail->rank);
    return NMRT_OK;
}

nmrt_status nmrt_mail_recv(nmrt_mail *mail, int from, int tag, void *at, int64_t bytes,
                           const char *what, const char *where, nmrt_error *e)
{
    channel *ch;
    NMRT_TRY(open_channel(mail, from, mail->rank, tag, &ch, e));
    note(mail, "receive from", from, what, where, bytes);
    unsigned number = atomic_load_explicit(&ch->taken.count, memory_order_relaxed);
    NMRT_TRY(nmrt_bell_wait(mail->local, mail->rank, &ch->sent, number + 1, e));
    message m = ch->place[number % PLACES];
    if (m.bytes != bytes)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s: rank %d sent %lld bytes, and rank %d wants %lld: they diverge", what,
                         from, (long long)m.bytes, mail->rank, (long long)bytes);
    memcpy(at, m.at, (size_t)bytes);
    nmrt_bell_ring(&ch->taken);
    nmrt_recorder_leave(mail->local->recorder, mail->rank);
    return NMRT_OK;
}
