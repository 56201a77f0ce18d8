// How far a run through a corpus is.
#include "runtime/corpus/meter.h"

#include "runtime/clock.h"
#include "runtime/text.h"

static const double REDRAW = 0.2, SELDOM = 10; // seconds between lines: on a terminal, elsewhere

nmrt_meter nmrt_meter_start(const nmrt_output *out, int64_t total, int64_t first)
{
    double now = nmrt_seconds();
    return (nmrt_meter){.out = out, .total = total, .first = first, .begun = now, .last = now};
}

double nmrt_meter_seconds(const nmrt_meter *m) { return nmrt_seconds() - m->begun; }

void nmrt_meter_move(nmrt_meter *m, int64_t bytes, int64_t documents, int64_t tokens)
{
    double now = nmrt_seconds();
    if (now - m->last < (m->out->terminal ? REDRAW : SELDOM))
        return;
    double rate = (double)(bytes - m->first) / (now - m->begun);
    FILE *f = m->out->text;
    fprintf(f, "%s%s", m->out->terminal ? "\r" : "", nmrt_bytes(bytes).s);
    if (m->total > 0)
        fprintf(f, " of %s (%.1f %%)", nmrt_bytes(m->total).s,
                100 * (double)bytes / (double)m->total);
    fprintf(f, "  %s documents", nmrt_count((double)documents).s);
    if (tokens >= 0)
        fprintf(f, "  %s tokens", nmrt_count((double)tokens).s);
    fprintf(f, "  %.1f MB/s", rate / 1e6);
    if (m->total > 0 && rate > 0)
        fprintf(f, "  %s left", nmrt_duration((double)(m->total - bytes) / rate).s);
    fprintf(f, "%s", m->out->terminal ? "\033[K" : "\n");
    fflush(f);
    m->open = m->out->terminal;
    m->last = now;
}

void nmrt_meter_end(nmrt_meter *m)
{
    if (m->open)
        fprintf(m->out->text, "\n");
    m->open = false;
}
