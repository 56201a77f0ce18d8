// What generate reads and writes.
#include "runtime/prompt.h"

#include "runtime/tokenizer_path.h"

#include <string.h>

static nmrt_status find_tokenizer(char path[NMRT_PATH], const nmrt_options *o, nmrt_error *e)
{
    const char *found = nmrt_tokenizer_path(o, path);
    if (found && strlen(found) >= NMRT_PATH)
        return nmrt_fail(e, NMRT_USAGE, "--tokenizer: the path is too long");
    if (found != path)
        strcpy(path, found ? found : "bytes");
    return NMRT_OK;
}

static nmrt_status encode(nmrt_prompt *p, const char *text, nmrt_error *e)
{
    nmrt_encoder *enc;
    NMRT_TRY(nmrt_encoder_open(&enc, p->t, e));
    nmrt_status status = nmrt_encode(enc, text, strlen(text), true, &p->ids, e);
    nmrt_encoder_close(enc);
    return status;
}

// A tokenizer may write a token otherwise behind others than at the beginning.
static nmrt_status say_prompt(nmrt_prompt *p, nmrt_error *e)
{
    nmrt_text dropped = {0}; // the prompt is written as it was given
    nmrt_status status = NMRT_OK;
    for (size_t i = 0; i < p->ids.n && status == NMRT_OK; i++)
        status = nmrt_decoder_add(&p->said, p->ids.at[i], &dropped, e);
    nmrt_text_release(&dropped);
    return status;
}

nmrt_status nmrt_prompt_open(nmrt_prompt *p, const nmrt_options *o, nmrt_error *e)
{
    *p = (nmrt_prompt){0};
    NMRT_TRY(find_tokenizer(p->path, o, e));
    NMRT_TRY(nmrt_tokenizer_open(&p->t, p->path, e));
    p->said.t = p->t;
    p->said.skip_special = true;
    nmrt_status status = encode(p, o->prompt, e);
    return status == NMRT_OK ? say_prompt(p, e) : status;
}

void nmrt_prompt_close(nmrt_prompt *p)
{
    nmrt_ids_release(&p->ids);
    nmrt_decoder_release(&p->said);
    nmrt_tokenizer_close(p->t);
    *p = (nmrt_prompt){0};
}

static nmrt_status write(nmrt_text *text, FILE *to, nmrt_status status, nmrt_error *e)
{
    if (status == NMRT_OK && text->n && (fwrite(text->at, 1, text->n, to) != text->n || fflush(to)))
        status = nmrt_fail_errno(e, "cannot write the text");
    nmrt_text_release(text);
    return status;
}

nmrt_status nmrt_prompt_say(nmrt_prompt *p, int32_t token, FILE *to, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_decoder_add(&p->said, token, &text, e);
    return write(&text, to, status, e);
}

nmrt_status nmrt_prompt_finish(nmrt_prompt *p, FILE *to, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_decoder_finish(&p->said, &text, e);
    return write(&text, to, status, e);
}
