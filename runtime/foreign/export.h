// The verb export: a checkpoint, or a foreign folder again, as a folder that other libraries read.
#ifndef NMRT_FOREIGN_EXPORT_H
#define NMRT_FOREIGN_EXPORT_H

#include "runtime/driver_abi.h"
#include "runtime/options.h"
#include "runtime/output.h"

// Writes --out in one step: the folder is whole, or not there.
nmrt_status nmrt_export(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                        nmrt_error *e);

#endif
