// UTF-8 (RFC 3629), also of texts that are not.
#ifndef NMRT_TOKENIZER_UTF8_H
#define NMRT_TOKENIZER_UTF8_H

#include "runtime/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The character that `text` begins with, and in *length its bytes, 1 to 4. If it begins with none:
// -1, and in *length how many bytes (1 to 3) could have begun one, the "maximal subpart" that the
// Unicode Standard (3.9, U+FFFD Substitution) and all that follow it replace by one U+FFFD.
int32_t nmrt_utf8_get(const char *text, size_t n, int *length); // n >= 1
int nmrt_utf8_put(char out[4], int32_t character);              // how many bytes it took
bool nmrt_utf8_is_whole(const char *text, size_t n);
// Appends the text with U+FFFD in the place of what is no UTF-8.
void nmrt_utf8_mend(nmrt_text *out, const char *text, size_t n);

#endif
