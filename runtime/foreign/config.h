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
// Notes samples of `seq` tokens where the model was made for fewer: max_position_embeddings.
void nmrt_config_note_seq(const char *folder, int64_t seq, nmrt_text *notes);
nm_json_row nmrt_config_row(const nmdrv_config_row *row); // what of it is compared

#endif
