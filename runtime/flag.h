// What command lines have in common: values of flags, and their help.
#ifndef NMRT_FLAG_H
#define NMRT_FLAG_H

#include "runtime/text.h"

#include <stdint.h>

// Whole numbers stay below 2^53, so that they pass through a double. What is wrong goes into
// `problems`, a line.
void nmrt_flag_int(const char *name, const char *text, int64_t least, int64_t *value,
                   nmrt_text *problems);
// Is it one of those that the help begins with, a|b|c: ? If not, `problems` has a line.
void nmrt_flag_check_choice(const char *name, const char *help, const char *text,
                            nmrt_text *problems);
// The flag, and from the column on its help, in lines of at most 100 characters, words whole.
void nmrt_flag_add_help(nmrt_text *out, int column, const char *flag, const char *help);

#endif
