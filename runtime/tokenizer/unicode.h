// What Unicode says of characters (version 14, by utf8proc), and its normal forms.
#ifndef NMRT_TOKENIZER_UNICODE_H
#define NMRT_TOKENIZER_UNICODE_H

#include "runtime/status.h"
#include "runtime/text.h"

bool nmrt_is_white_space(int32_t c); // the property White_Space
bool nmrt_is_number(int32_t c);      // the categories Nd, Nl, No
bool nmrt_is_punctuation(int32_t c); // the categories P*, and all of ASCII's that are no letters
bool nmrt_is_mark(int32_t c);        // the categories M*
bool nmrt_is_word(int32_t c);        // \w of UTS #18: Alphabetic, M*, Nd, Pc, Join_Control

// Bytes of the first extended grapheme cluster (UAX #29) of UTF-8; n >= 1.
size_t nmrt_cluster(const char *text, size_t n);

typedef enum { NMRT_NFC, NMRT_NFD, NMRT_NFKC, NMRT_NFKD } nmrt_normal_form;

// Appends the normal form of UTF-8.
nmrt_status nmrt_normal_form_add(nmrt_text *out, const char *text, size_t n, nmrt_normal_form form,
                                 nmrt_error *e);
// Appends the text in lower case, each character for itself.
void nmrt_lower_add(nmrt_text *out, const char *text, size_t n);

#endif
