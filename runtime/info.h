// The verb info.
#ifndef NMRT_INFO_H
#define NMRT_INFO_H

#include "runtime/options.h"

void nmrt_info_print(const nmdrv_program *program, const nmrt_hypers *h, nmrt_text *out);
void nmrt_info_print_json(const nmdrv_program *program, const nmrt_hypers *h, nmrt_text *out);
// What --checkpoint holds, as its index says: step, the program and the mesh that saved it.
nmrt_status nmrt_info_print_checkpoint(const nmrt_options *o, nmrt_text *out, nmrt_error *e);

#endif
