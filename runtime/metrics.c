// metrics.jsonl: one JSON object a step, one write a row.
#include "runtime/metrics.h"

#include "runtime/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The step of a row, or -1: not a row. Its loss goes to the curve.
static int64_t read_row(const char *line, size_t n, int64_t up_to, nmrt_curve *curve)
{
    nm_json doc;
    nmrt_error e;
    int64_t step = -1;
    if (nmrt_json_parse(&doc, line, n, &e) != NMRT_OK)
        return -1;
    if (nm_json_int(&doc, nm_json_get(&doc, 0, "step"), &step) && step <= up_to) {
        double loss;
        if (nm_json_real(&doc, nm_json_get(&doc, 0, "loss"), &loss))
            nmrt_curve_add(curve, loss);
    }
    nm_json_release(&doc);
    return step;
}

// Bytes of the rows up to `step`: whole lines only, as a kill may have cut the last.
static size_t rows_up_to(const nmrt_map *map, int64_t step, nmrt_curve *curve)
{
    const char *text = (const char *)map->at;
    size_t kept = 0;
    while (kept < map->n) {
        const char *end = memchr(text + kept, '\n', map->n - kept);
        if (!end)
            break;
        int64_t row = read_row(text + kept, (size_t)(end - text) - kept, step, curve);
        if (row < 0 || row > step)
            break;
        kept = (size_t)(end - text) + 1;
    }
    return kept;
}

static nmrt_status cut_rows(nmrt_log *m, int64_t step, nmrt_curve *curve, nmrt_error *e)
{
    nmrt_map map;
    NMRT_TRY(nmrt_map_open(&map, m->path, e));
    size_t kept = rows_up_to(&map, step, curve);
    nmrt_map_close(&map);
    if (truncate(m->path, (off_t)kept))
        return nmrt_fail_errno(e, "cannot cut %s at step %lld", m->path, (long long)step);
    return NMRT_OK;
}

static nmrt_status set_aside(const nmrt_log *m, const char *dir, nmrt_error *e)
{
    for (int i = 1; i < 1000000; i++) {
        char name[64], path[NMRT_PATH];
        snprintf(name, sizeof name, "metrics-%d.jsonl", i);
        NMRT_TRY(nmrt_path_join(path, dir, name, e));
        if (nmrt_path_exists(path))
            continue;
        if (rename(m->path, path))
            return nmrt_fail_errno(e, "cannot rename %s to %s", m->path, path);
        return NMRT_OK;
    }
    return nmrt_fail(e, NMRT_WORLD, "%s is full of old logs", dir);
}

nmrt_status nmrt_metrics_open(nmrt_log *m, const char *dir, int64_t step, nmrt_curve *curve,
                              nmrt_error *e)
{
    *m = (nmrt_log){.fd = -1};
    if (!dir)
        return NMRT_OK;
    NMRT_TRY(nmrt_dir_make(dir, e));
    NMRT_TRY(nmrt_path_join(m->path, dir, "metrics.jsonl", e));
    if (nmrt_path_exists(m->path))
        NMRT_TRY(step ? cut_rows(m, step, curve, e) : set_aside(m, dir, e));
    return nmrt_log_open(m, e);
}

static void add_field(nmrt_text *t, const char *name, double value)
{
    nmrt_text_add(t, ", \"%s\": ", name);
    nmrt_text_add_f32(t, (float)value);
}

// What the runtime writes itself; an emit of that name would be there twice.
static bool is_own(const char *name)
{
    static const char *const own[] = {"step",  "loss",       "lr",           "eval_loss",
                                      "batch", "tokens",     "tokens_per_s", "step_ms",
                                      "mfu",   "comm_wait_s"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return true;
    return false;
}

bool nmrt_metrics_emit(const nmrt_engine *en, const nmrt_planned *finish, int64_t i, double *value)
{
    const nmdrv_arg *r = &finish->func->result[i];
    return r->bind == NMDRV_EMIT && r->rank == 0 && !is_own(r->name) &&
           nmrt_engine_result(en, finish, r->name, value);
}

void nmrt_metrics_add_emit(nmrt_text *t, const nmrt_engine *en, const nmrt_planned *finish,
                           int64_t i)
{
    double value;
    if (!nmrt_metrics_emit(en, finish, i, &value))
        return;
    nmrt_text_add(t, ", ");
    nmrt_text_add_json(t, finish->func->result[i].name);
    nmrt_text_add(t, ": ");
    nmrt_text_add_f32(t, (float)value);
}

nmrt_status nmrt_metrics_add(nmrt_log *m, const nmrt_row *row, const nmrt_engine *en,
                             const nmrt_planned *finish, nmrt_error *e)
{
    if (m->fd < 0)
        return NMRT_OK;
    nmrt_text t = {0};
    nmrt_text_add(&t, "{\"step\": %lld", (long long)row->step);
    add_field(&t, "loss", row->loss);
    add_field(&t, "lr", row->lr);
    for (int64_t i = 0; i < finish->func->n_results; i++)
        nmrt_metrics_add_emit(&t, en, finish, i);
    if (row->has_eval)
        add_field(&t, "eval_loss", row->eval_loss);
    if (row->batch)
        nmrt_text_add(&t, ", \"batch\": %lld", (long long)row->batch);
    nmrt_text_add(&t,
                  ", \"tokens\": %lld, \"tokens_per_s\": %.1f, \"step_ms\": %.3f, \"mfu\": %.4f",
                  (long long)row->tokens, row->tokens_per_s, row->step_ms, row->mfu);
    if (row->comm_wait_s >= 0)
        nmrt_text_add(&t, ", \"comm_wait_s\": %.6f", row->comm_wait_s);
    nmrt_text_add(&t, "}\n");
    nmrt_status status = t.failed ? nmrt_fail(e, NMRT_WORLD, "no memory for a row of %s", m->path)
                                  : nmrt_log_add(m, t.at, t.n, e);
    nmrt_text_release(&t);
    return status;
}
