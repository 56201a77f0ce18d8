// How far a training run is.
#include "runtime/progress.h"

#include "runtime/clock.h"

static const double REDRAW = 0.2; // seconds

static double seconds_left(const nmrt_progress *p, const nmrt_row *row, double now)
{
    double left = p->step_s * (double)(p->steps - row->step);
    if (p->until > 0 && p->until - now < left)
        left = p->until - now;
    return left > 0 ? left : 0;
}

static void print_line(const nmrt_progress *p, const nmrt_row *row, double now)
{
    fprintf(p->out->text, "step %lld/%lld  loss %.4f  lr %.2e  %s tokens/s  ", (long long)row->step,
            (long long)p->steps, row->loss, row->lr, nmrt_count(row->tokens_per_s).s);
    if (row->mfu > 0)
        fprintf(p->out->text, "%.1f%% of peak  ", 100 * row->mfu);
    if (row->has_eval)
        fprintf(p->out->text, "eval loss %.4f  ", row->eval_loss);
    fprintf(p->out->text, "%s left", nmrt_duration(seconds_left(p, row, now)).s);
}

void nmrt_progress_step(nmrt_progress *p, const nmrt_row *row)
{
    double now = nmrt_seconds(), seconds = row->step_ms / 1000;
    p->step_s = p->step_s > 0 ? 0.9 * p->step_s + 0.1 * seconds : seconds;
    bool last = row->step == p->steps, first = p->last <= 0;
    if (p->out->terminal) {
        if (!first && !last && !row->has_eval && now - p->last < REDRAW)
            return;
        fprintf(p->out->text, "\r");
        print_line(p, row, now);
        fprintf(p->out->text, "\033[K%s", row->has_eval ? "\n" : "");
        p->open = !row->has_eval;
    } else {
        if (!first && !last && !row->has_eval && row->step % p->log_every)
            return;
        print_line(p, row, now);
        fprintf(p->out->text, "\n");
    }
    fflush(p->out->text);
    p->last = now;
}

void nmrt_progress_end(nmrt_progress *p)
{
    if (p->open)
        fprintf(p->out->text, "\n");
    p->open = false;
    fflush(p->out->text);
}
