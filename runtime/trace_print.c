// Spans as JSON trace events ("Trace Event Format"): a span is an event X with its duration, what
// names processes and threads an M, a point of a curve a C. Times are microseconds.
#include "runtime/trace_file.h"

#include <string.h>

static const char *const kinds[] = {
    [NMRT_SPAN_STEP] = "step",         [NMRT_SPAN_PHASE] = "phase",
    [NMRT_SPAN_FUNCTION] = "function", [NMRT_SPAN_KERNEL] = "kernel",
    [NMRT_SPAN_SHARE] = "share",       [NMRT_SPAN_COLLECTIVE] = "collective",
    [NMRT_SPAN_MESSAGE] = "message",   [NMRT_SPAN_COPY] = "copy",
    [NMRT_SPAN_WAIT] = "wait",         [NMRT_SPAN_FILE] = "file"};

static void add_name(nmrt_text *out, const char *name)
{
    nmrt_text_add(out, "{\"name\": ");
    nmrt_text_add_json(out, name);
}

static void add_time(nmrt_text *out, const char *key, int64_t ns)
{
    if (ns < 0) // of a clock that the first rank's is ahead of
        ns = 0;
    nmrt_text_add(out, ", \"%s\": %lld.%03d", key, (long long)(ns / 1000), (int)(ns % 1000));
}

static void add_place(nmrt_text *out, const char *phase, const nmrt_trace_row *row)
{
    nmrt_text_add(out, ", \"ph\": \"%s\", \"pid\": %d, \"tid\": %d", phase, row->rank, row->id);
}

// --- what a viewer shows on the left -------------------------------------------------------------

static void print_label(nmrt_text *out, const nmrt_trace_row *row, const char *what,
                        const char *name)
{
    add_name(out, what);
    add_place(out, "M", row);
    nmrt_text_add(out, ", \"args\": {\"name\": ");
    nmrt_text_add_json(out, name);
    nmrt_text_add(out, "}},\n");
}

static void print_order(nmrt_text *out, const nmrt_trace_row *row, const char *what, int order)
{
    add_name(out, what);
    add_place(out, "M", row);
    nmrt_text_add(out, ", \"args\": {\"sort_index\": %d}},\n", order);
}

void nmrt_trace_print_process(nmrt_text *out, int rank, const char *name)
{
    nmrt_trace_row row = {rank, 0, 0};
    print_label(out, &row, "process_name", name);
    print_order(out, &row, "process_sort_index", rank);
}

void nmrt_trace_print_track(nmrt_text *out, const nmrt_trace_row *row, int place, const char *name)
{
    enum { MANY = 4096 }; // of one place
    print_label(out, row, "thread_name", name);
    print_order(out, row, "thread_sort_index", place * MANY + row->id);
}

// --- spans ---------------------------------------------------------------------------------------

// "kernel file.nm:12": the first model line, without folders; all are among the arguments.
static void add_title(nmrt_text *out, const nmrt_span *s)
{
    nmrt_text title = {0};
    const char *where = s->where ? s->where : "";
    int n = (int)strcspn(where, ",");
    for (int i = n; i-- > 0;)
        if (where[i] == '/') {
            where += i + 1;
            n -= i + 1;
            break;
        }
    nmrt_text_add(&title, "%s%s", s->kind == NMRT_SPAN_WAIT ? "wait: " : "", s->name);
    if (s->kind == NMRT_SPAN_STEP)
        nmrt_text_add(&title, " %lld", (long long)s->number[0].value);
    if (n)
        nmrt_text_add(&title, " %.*s", n, where);
    add_name(out, title.failed ? s->name : title.at);
    nmrt_text_release(&title);
}

static void add_arguments(nmrt_text *out, const nmrt_span *s)
{
    const char *between = "";
    nmrt_text_add(out, ", \"args\": {");
    if (s->where && *s->where) {
        nmrt_text_add(out, "\"model\": ");
        nmrt_text_add_json(out, s->where);
        between = ", ";
    }
    for (size_t i = 0; i < sizeof s->number / sizeof *s->number && s->number[i].key; i++) {
        nmrt_text_add(out, "%s\"%s\": %lld", between, s->number[i].key,
                      (long long)s->number[i].value);
        between = ", ";
    }
    nmrt_text_add(out, "}");
}

void nmrt_trace_print_span(nmrt_text *out, const nmrt_trace_row *row, const nmrt_span *s)
{
    add_title(out, s);
    nmrt_text_add(out, ", \"cat\": \"%s\"", kinds[s->kind]);
    add_place(out, "X", row);
    add_time(out, "ts", s->begin - row->zero);
    add_time(out, "dur", s->end - s->begin);
    add_arguments(out, s);
    nmrt_text_add(out, "},\n");
}

void nmrt_trace_print_number(nmrt_text *out, const nmrt_trace_row *row, const char *name,
                             int64_t at, double value)
{
    add_name(out, name);
    add_place(out, "C", row);
    add_time(out, "ts", at - row->zero);
    nmrt_text_add(out, ", \"args\": {");
    nmrt_text_add_json(out, name);
    nmrt_text_add(out, ": ");
    nmrt_text_add_real(out, value);
    nmrt_text_add(out, "}},\n");
}
