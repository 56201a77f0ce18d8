// config.json of an export: the rows of the weights map, over the file of the model that was
// imported, if any.
#ifndef NMRT_FOREIGN_CONFIG_PRINT_H
#define NMRT_FOREIGN_CONFIG_PRINT_H

#include "runtime/foreign/config.h"

// base: the imported file's text, n bytes; NULL: there is none. What the rows do not speak of stays
// as it was, and where nothing differs so does every byte. dtype: the word for what is exported,
// "bfloat16".
nmrt_status nmrt_config_print(const nmdrv_weights *map, const char *base, size_t n,
                              const char *dtype, nmrt_text *out, nmrt_error *e);

#endif
