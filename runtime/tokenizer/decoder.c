// Text as its ids come. What an id means may depend on those before it (a space that a text does
// not begin with, bytes that are a character together), so the last ids are decoded again with what
// came since: what is behind the text of the ones before is new. As long as it ends within a
// character, it is held back.
#include "runtime/tokenizer/tokenizer.h"

#include <string.h>

enum { HOLD = 16 }; // ids that are held back at most: no character has more bytes

static bool ends_in_doubt(const nmrt_text *t)
{
    return t->n >= 3 && memcmp(t->at + t->n - 3, "\xEF\xBF\xBD", 3) == 0; // U+FFFD
}

// What was given out before the last time does no more: the ids since then begin the window. If
// they have no text by themselves (spaces, which a text does not begin with), they do not stand for
// it, and all stays.
static nmrt_status forget(nmrt_decoder *d, const nmrt_text *now, nmrt_error *e)
{
    size_t keep = d->window.n - (size_t)d->given;
    d->before.n = 0;
    NMRT_TRY(
        nmrt_decode(d->t, d->window.at + d->given, (int64_t)keep, d->skip_special, &d->before, e));
    if (d->before.n) {
        memmove(d->window.at, d->window.at + d->given, keep * sizeof *d->window.at);
        d->window.n = keep;
    } else
        nmrt_text_add_bytes(&d->before, now->at, now->n);
    d->given = (int64_t)d->window.n;
    return NMRT_OK;
}

// Gives out what the window's text has behind `before`.
static nmrt_status give(nmrt_decoder *d, bool all, nmrt_text *out, nmrt_error *e)
{
    nmrt_text now = {0};
    nmrt_status status =
        nmrt_decode(d->t, d->window.at, (int64_t)d->window.n, d->skip_special, &now, e);
    bool wait = !all && ends_in_doubt(&now) && (int64_t)d->window.n - d->given < HOLD;
    if (status == NMRT_OK && !wait && now.n > d->before.n) {
        nmrt_text_add_bytes(out, now.at + d->before.n, now.n - d->before.n);
        status = forget(d, &now, e);
    }
    nmrt_text_release(&now);
    return status;
}

nmrt_status nmrt_decoder_add(nmrt_decoder *d, int32_t id, nmrt_text *out, nmrt_error *e)
{
    nmrt_ids_add(&d->window, id);
    if (d->window.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens");
    return give(d, false, out, e);
}

nmrt_status nmrt_decoder_finish(nmrt_decoder *d, nmrt_text *out, nmrt_error *e)
{
    return give(d, true, out, e);
}

void nmrt_decoder_release(nmrt_decoder *d)
{
    nmrt_ids_release(&d->window);
    nmrt_text_release(&d->before);
}
