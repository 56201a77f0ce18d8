// Event files. Numbers of fields are those of event.proto and summary.proto.
#define _GNU_SOURCE
#include "runtime/events.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// --- records -------------------------------------------------------------------------------------

// CRC-32C (Castagnoli), reflected, a bit at a time: a step has some hundred bytes.
static uint32_t crc_of(const char *at, size_t n)
{
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const char *at, size_t n)
{
    uint32_t crc = crc_of(at, n);
    return (crc >> 15 | crc << 17) + UINT32_C(0xA282EAD8);
}

static nmrt_status add_record(nmrt_log *log, const nmrt_text *event, nmrt_error *e)
{
    nmrt_text record = {0};
    uint64_t n = event->n;
    uint32_t head = masked_crc((const char *)&n, sizeof n), tail = masked_crc(event->at, event->n);
    nmrt_text_add_bytes(&record, &n, sizeof n);
    nmrt_text_add_bytes(&record, &head, sizeof head);
    nmrt_text_add_bytes(&record, event->at, event->n);
    nmrt_text_add_bytes(&record, &tail, sizeof tail);
    nmrt_status status = event->failed || record.failed
                             ? nmrt_fail(e, NMRT_WORLD, "no memory for an event of %s", log->path)
                             : nmrt_log_add(log, record.at, record.n, e);
    nmrt_text_release(&record);
    return status;
}

// --- protobuf ------------------------------------------------------------------------------------

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; // wire types

static void add_varint(nmrt_text *t, uint64_t x)
{
    for (; x >= 128; x >>= 7)
        nmrt_text_add_bytes(t, &(unsigned char){(unsigned char)(x | 128)}, 1);
    nmrt_text_add_bytes(t, &(unsigned char){(unsigned char)x}, 1);
}

static void add_key(nmrt_text *t, int field, int wire)
{
    add_varint(t, (uint64_t)(field << 3 | wire));
}

static void add_message(nmrt_text *t, int field, const char *at, size_t n)
{
    add_key(t, field, BYTES);
    add_varint(t, n);
    nmrt_text_add_bytes(t, at, n);
}

// Event.wall_time and Event.step, with which every event begins.
static void begin_event(nmrt_text *t, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    add_key(t, 1, FIXED64);
    nmrt_text_add_bytes(t, &wall, sizeof wall);
    add_key(t, 2, VARINT);
    add_varint(t, (uint64_t)step);
}

// Summary.value: its tag and simple_value.
static void add_scalar(nmrt_text *summary, const char *tag, double x)
{
    nmrt_text value = {0};
    float number = (float)x;
    add_message(&value, 1, tag, strlen(tag));
    add_key(&value, 2, FIXED32);
    nmrt_text_add_bytes(&value, &number, sizeof number);
    add_message(summary, 1, value.at, value.n);
    summary->failed |= value.failed;
    nmrt_text_release(&value);
}

// --- events --------------------------------------------------------------------------------------

static void add_scalars(nmrt_text *summary, const nmrt_row *row, const nmrt_engine *en,
                        const nmrt_planned *finish)
{
    double value;
    add_scalar(summary, "loss", row->loss);
    add_scalar(summary, "lr", row->lr);
    for (int64_t i = 0; i < finish->func->n_results; i++)
        if (nmrt_metrics_emit(en, finish, i, &value))
            add_scalar(summary, finish->func->result[i].name, value);
    if (row->has_eval)
        add_scalar(summary, "eval_loss", row->eval_loss);
    if (row->batch)
        add_scalar(summary, "batch", (double)row->batch);
    add_scalar(summary, "tokens", (double)row->tokens);
    add_scalar(summary, "tokens_per_s", row->tokens_per_s);
    add_scalar(summary, "step_ms", row->step_ms);
    add_scalar(summary, "mfu", row->mfu);
    if (row->comm_wait_s >= 0)
        add_scalar(summary, "comm_wait_s", row->comm_wait_s);
}

nmrt_status nmrt_events_add(nmrt_log *log, const nmrt_row *row, const nmrt_engine *en,
                            const nmrt_planned *finish, nmrt_error *e)
{
    nmrt_text event = {0}, summary = {0};
    if (log->fd < 0)
        return NMRT_OK;
    begin_event(&event, row->step);
    add_scalars(&summary, row, en, finish);
    add_message(&event, 5, summary.at, summary.n);
    event.failed |= summary.failed;
    nmrt_status status = add_record(log, &event, e);
    nmrt_text_release(&summary);
    nmrt_text_release(&event);
    return status;
}

// Readers take files in the order of their names, so these begin with the time.
static nmrt_status name_file(nmrt_log *log, const char *dir, nmrt_error *e)
{
    struct timespec now;
    char host[64] = "", name[160];
    clock_gettime(CLOCK_REALTIME, &now);
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "events.out.tfevents.%010lld.%09ld.%s", (long long)now.tv_sec,
             now.tv_nsec, *host ? host : "localhost");
    return nmrt_path_join(log->path, dir, name, e);
}

// Event.file_version, then Event.session_log with SessionLog.status START.
static nmrt_status add_head(nmrt_log *log, int64_t step, nmrt_error *e)
{
    static const char version[] = "brain.Event:2", start[] = {1 << 3 | VARINT, 1};
    nmrt_text head = {0}, mark = {0};
    begin_event(&head, step);
    add_message(&head, 3, version, strlen(version));
    begin_event(&mark, step + 1);
    add_message(&mark, 7, start, sizeof start);
    nmrt_status status = add_record(log, &head, e);
    if (status == NMRT_OK)
        status = add_record(log, &mark, e);
    nmrt_text_release(&head);
    nmrt_text_release(&mark);
    return status;
}

nmrt_status nmrt_events_open(nmrt_log *log, const char *dir, int64_t step, nmrt_error *e)
{
    *log = (nmrt_log){.fd = -1};
    if (!dir)
        return NMRT_OK;
    NMRT_TRY(name_file(log, dir, e));
    NMRT_TRY(nmrt_log_open(log, e));
    return add_head(log, step, e);
}
