// config.json of a foreign folder against the rows of a weights map: what the file says of the
// model has to be what this binary computes.
#ifndef NMRT_FOREIGN_CONFIG_H
#define NMRT_FOREIGN_CONFIG_H

#include "runtime/driver_abi.h"
#include "runtime/json.h"
#include "runtime/text.h"

// Refuses a file that differs, with the key and both values. A folder without one is noted.
nmrt_status nmrt_config_check(const nmdrv_weights *map, const char *folder, nmrt_text *notes,
                              nmrt_error *e);
// The same of the file's text, n bytes.
nmrt_status nmrt_config_check_text(const nmdrv_weights *map, const char *text, size_t n,
                                   const char *folder, nmrt_error *e);

// The node of "rope_scaling.factor" in the file; -1: none, or null.
int nmrt_config_find(const nmrt_json *doc, const char *key);
void nmrt_config_print_value(const nmrt_json *doc, int node, nmrt_text *out); // on one line
// Do two values say the same? Numbers that are not whole may differ as doubles if they are one f32.
bool nmrt_config_same(const nmrt_json *a, int i, const nmrt_json *b, int k);

#endif
