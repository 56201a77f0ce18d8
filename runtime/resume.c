// The flags of a resumed run, and of an evaluation. A run that goes on must not change because its
// command line is shorter, so every flag that decides its numbers is the checkpoint's unless it is
// given again.
#include "runtime/resume.h"

#include "runtime/checkpoint.h"
#include "runtime/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
static const char *const carried[NMRT_CARRIED] = {
    "data", "data-order", "split", "eod", "eval-data", "eval-every", "eval-samples",
    "steps", "micro-batch", "global-batch", "rampup-batch-size", "seq", "seed", "recompute",
    "num-layers-at-start-in-bf16", "num-layers-at-end-in-bf16",
    "lr-schedule",
    "precision", "fp8-recipe", "keep-rounded-weights",
};
// clang-format on

// The member as text, owned by the caller; NULL: it is absent or null.
static char *read_text(const nm_json *doc, int node)
{
    if (node < 0 || doc->node[node].kind == NM_JSON_NULL)
        return NULL;
    size_t n = doc->node[node].n_text, cap = n + 5; // a character in UTF-8, and the 0
    char *text = malloc(cap);
    if (text && !nm_json_unquote(doc->node[node].text, n, text, cap)) {
        free(text);
        return NULL;
    }
    return text;
}

static void note_difference(nmrt_options *o, const char *flag, const char *now, const char *was)
{
    if (strcmp(now, was) != 0)
        nmrt_text_add(&o->notes, "note: --%s %s now, %s in the checkpoint\n", flag, now, was);
}

// --- flags whose value is more than their text ---------------------------------------------------

static void add_ways(const nmrt_options *o, const char *text, nmrt_text *out, nmrt_text *problems)
{
    nmrt_recompute ways;
    nmrt_recompute_parse(&ways, o->hypers.program, text, problems);
    nmrt_recompute_print(&ways, out);
}

// Without a text it is what a run does that does not ask. What this program cannot do is left.
static void carry_recompute(nmrt_options *o, const char *was)
{
    nmrt_text then = {0}, now = {0}, unfit = {0}, wrong = {0};
    bool given = nmrt_option_given(o, nmrt_option_find("recompute"));
    add_ways(o, was, &then, &unfit);
    add_ways(o, o->recompute, &now, &wrong);
    if (given && !wrong.n && then.at && now.at)
        note_difference(o, "recompute", now.at, unfit.n ? was : then.at);
    else if (!given && unfit.n)
        nmrt_text_add(&o->notes, "note: the checkpoint's is not taken over: %s", unfit.at);
    else if (!given)
        o->recompute = was;
    nmrt_text_release(&then);
    nmrt_text_release(&now);
    nmrt_text_release(&unfit);
    nmrt_text_release(&wrong);
}

// Where a checkpoint says of its program what the flag's auto has become; NULL: it is no such flag.
static const char *made_of(const char *flag)
{
    if (strcmp(flag, "precision") == 0)
        return "precision";
    return strcmp(flag, "fp8-recipe") == 0 ? "recipe" : NULL;
}

// What it was computed in, which an auto of then does not say; train tells of another, as what this
// run computes in is not chosen yet. --fp8-check compares two precisions of its own.
static void carry_numbers(nmrt_options *o, const nmrt_option *option, const char *was)
{
    nmrt_text problems = {0}; // of a precision or recipe that this runtime does not know
    if (was && *was && !o->fp8_check && !nmrt_option_given(o, option)) {
        const char **value = (const char **)(void *)((char *)o + option->at), *before = *value;
        nmrt_option_set(o, option, was, &problems);
        *value = problems.n ? before : *value;
    }
    nmrt_text_release(&problems);
}

// --- all of them ---------------------------------------------------------------------------------

static void carry_text(nmrt_options *o, const nmrt_option *option, const char *was,
                       nmrt_text *problems)
{
    if (!nmrt_option_given(o, option)) {
        if (was)
            nmrt_option_set(o, option, was, problems);
        return;
    }
    nmrt_text now = {0};
    nmrt_option_print(o, option, &now);
    if (!now.failed)
        note_difference(o, option->name, now.at, was ? was : "none");
    nmrt_text_release(&now);
}

// Older checkpoints do not say all: what one lacks is as it is given now.
static void carry_option(nmrt_options *o, int i, const nm_json *doc, nmrt_text *problems)
{
    const nmrt_option *option = nmrt_option_find(carried[i]);
    const char *made = made_of(carried[i]);
    int flag = nm_json_get(doc, nm_json_get(doc, 0, "flags"), carried[i]),
        fact = made ? nm_json_get(doc, nm_json_get(doc, 0, "program"), made) : -1;
    if (flag < 0)
        return;
    const char *was = o->carried[i] = read_text(doc, fact >= 0 ? fact : flag);
    if (made)
        carry_numbers(o, option, was);
    else if (strcmp(carried[i], "recompute") == 0)
        carry_recompute(o, was);
    else
        carry_text(o, option, was, problems);
}

// A switch cannot be taken back, so it is not taken over; that it differs is told.
static void note_switch(nmrt_options *o, const char *flag, bool now, const nm_json *doc)
{
    int node = nm_json_get(doc, nm_json_get(doc, 0, "flags"), flag);
    bool was = node >= 0 && doc->node[node].kind == NM_JSON_TRUE;
    if (node >= 0 && was != now)
        nmrt_text_add(&o->notes, "note: --%s %s\n", flag,
                      was ? "was given for the checkpoint, and is not now"
                          : "now, and not for the checkpoint");
}

// But for those that tell of documents: without them the run would go on with other data.
static bool *switch_at(nmrt_options *o, const char *flag)
{
    return (bool *)(void *)((char *)o + nmrt_option_find(flag)->at);
}

static void carry_switch(nmrt_options *o, const char *flag, const nm_json *doc)
{
    bool *now = switch_at(o, flag);
    int node = nm_json_get(doc, nm_json_get(doc, 0, "flags"), flag);
    if (node < 0)
        return;
    if (doc->node[node].kind == NM_JSON_TRUE)
        *now = true;
    else
        note_switch(o, flag, *now, doc);
}

static void carry_hyper(nmrt_options *o, const nmrt_hyper_flag *flag, const nm_json *doc, int flags)
{
    nmrt_text now = {0}, was = {0};
    for (int i = flag->first; i < flag->first + flag->n; i++) {
        nmrt_hyper *hyper = &o->hypers.hyper[i];
        double value;
        if (!nm_json_real(doc, nm_json_get(doc, flags, hyper->name), &value) || !isfinite(value))
            continue;
        if (!hyper->given) {
            hyper->value = value;
            hyper->set = true;
            continue;
        }
        const char *comma = now.n ? "," : "";
        nmrt_text_add(&now, "%s", comma);
        nmrt_text_add_real(&now, hyper->value);
        nmrt_text_add(&was, "%s", comma);
        nmrt_text_add_real(&was, value);
    }
    if (now.n && !now.failed && !was.failed)
        note_difference(o, flag->name, now.at, was.at);
    nmrt_text_release(&now);
    nmrt_text_release(&was);
}

static void carry_all(nmrt_options *o, nmrt_text *problems)
{
    const char *path = strcmp(o->resume, "auto") == 0 ? o->save : o->resume;
    nmrt_index index;
    if (strcmp(o->resume, "none") == 0 || !path || !nmrt_index_open_newest(&index, path))
        return;
    int flags = nm_json_get(&index.doc, 0, "flags");
    for (int i = 0; i < NMRT_CARRIED; i++)
        carry_option(o, i, &index.doc, problems);
    note_switch(o, "tf32", o->tf32, &index.doc);
    for (int i = 0; i < NMRT_DOCUMENT_FLAGS; i++)
        carry_switch(o, nmrt_document_flags[i].flag, &index.doc);
    for (int i = 0; i < o->hypers.n_flags; i++)
        carry_hyper(o, &o->hypers.flag[i], &index.doc, flags);
    nmrt_index_close(&index);
}

// --- an evaluation -------------------------------------------------------------------------------

static bool tells_documents(const nmrt_options *o)
{
    bool given = nmrt_option_given(o, nmrt_option_find("eod"));
    for (int i = 0; i < NMRT_DOCUMENT_FLAGS; i++)
        given |= nmrt_option_given(o, nmrt_option_find(nmrt_document_flags[i].flag));
    return given;
}

static void take_switch(nmrt_options *o, const nmrt_document_flag *f, const nm_json *doc)
{
    int node = nm_json_get(doc, nm_json_get(doc, 0, "flags"), f->flag);
    if (node < 0 || doc->node[node].kind != NM_JSON_TRUE)
        return;
    *switch_at(o, f->flag) = nmrt_data_reads(o->hypers.program, f->field);
    if (*switch_at(o, f->flag))
        nmrt_text_add(&o->notes, "note: --%s, as the checkpoint was trained\n", f->flag);
    else
        nmrt_text_add(&o->notes,
                      "note: the checkpoint was trained with --%s, and this binary reads no field "
                      "'%s'\n",
                      f->flag, f->field);
}

static void take_end(nmrt_options *o, const nm_json *doc, nmrt_text *problems)
{
    for (int i = 0; i < NMRT_CARRIED; i++)
        if (strcmp(carried[i], "eod") == 0)
            carry_option(o, i, doc, problems);
    if (o->eod && !nmrt_option_given(o, nmrt_option_find("eod")))
        nmrt_text_add(&o->notes, "note: --eod %s, as the checkpoint was trained\n", o->eod);
}

static void carry_documents(nmrt_options *o, nmrt_text *problems)
{
    nmrt_index index;
    bool told = tells_documents(o), reads = false;
    if (!o->checkpoint || !nmrt_index_open_newest(&index, o->checkpoint))
        return;
    for (int i = 0; i < NMRT_DOCUMENT_FLAGS; i++) {
        const nmrt_document_flag *f = &nmrt_document_flags[i];
        if (told)
            note_switch(o, f->flag, *switch_at(o, f->flag), &index.doc);
        else
            take_switch(o, f, &index.doc);
        reads |= *switch_at(o, f->flag);
    }
    if (reads)
        take_end(o, &index.doc, problems);
    nmrt_index_close(&index);
}

void nmrt_resume_flags(nmrt_options *o, nmrt_text *problems)
{
    if (o->verb == NMRT_TRAIN)
        carry_all(o, problems);
    else if (o->verb == NMRT_EVAL)
        carry_documents(o, problems);
}
