// The flags of a resumed run. A run that goes on must not change because its command line is
// shorter, so every flag that decides its numbers is the checkpoint's unless it is given again.
#include "runtime/resume.h"

#include "runtime/checkpoint.h"

#include <stdlib.h>
#include <string.h>

static const char *const carried[NMRT_CARRIED] = {
    "data", "data-order", "steps", "micro-batch", "global-batch", "seq", "seed", "lr-schedule"};

// The member as text, owned by the caller; NULL: it is absent or null.
static char *read_text(const nmrt_json *doc, int node)
{
    if (node < 0 || doc->node[node].kind == NMRT_JSON_NULL)
        return NULL;
    size_t n = doc->node[node].n_text, cap = n + 5; // a character in UTF-8, and the 0
    char *text = malloc(cap);
    if (text && !nmrt_json_unquote(doc->node[node].text, n, text, cap)) {
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

static void carry_option(nmrt_options *o, int i, const nmrt_json *doc, int flags,
                         nmrt_text *problems)
{
    const nmrt_option *option = nmrt_option_find(carried[i]);
    char *was = o->carried[i] = read_text(doc, nmrt_json_get(doc, flags, carried[i]));
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

static bool read_real(const nmrt_json *doc, int node, double *value)
{
    if (node < 0 || doc->node[node].kind != NMRT_JSON_NUMBER)
        return false;
    *value = strtod(doc->node[node].text, NULL); // a number ends before the text does
    return true;
}

static void carry_hyper(nmrt_options *o, const nmrt_hyper_flag *flag, const nmrt_json *doc,
                        int flags)
{
    nmrt_text now = {0}, was = {0};
    for (int i = flag->first; i < flag->first + flag->n; i++) {
        nmrt_hyper *hyper = &o->hypers.hyper[i];
        double value;
        if (!read_real(doc, nmrt_json_get(doc, flags, hyper->name), &value))
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

void nmrt_resume_flags(nmrt_options *o, nmrt_text *problems)
{
    const char *path = strcmp(o->resume, "auto") == 0 ? o->save : o->resume;
    nmrt_index index;
    if (strcmp(o->resume, "none") == 0 || !path || !nmrt_index_open_newest(&index, path))
        return;
    int flags = nmrt_json_get(&index.doc, 0, "flags");
    for (int i = 0; i < NMRT_CARRIED; i++)
        carry_option(o, i, &index.doc, flags, problems);
    for (int i = 0; i < o->hypers.n_flags; i++)
        carry_hyper(o, &o->hypers.flag[i], &index.doc, flags);
    nmrt_index_close(&index);
}
