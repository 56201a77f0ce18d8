// The record of an import: {"name": "dtype", ...} of a foreign folder's tensors, kept with the
// companions, so that an export of what was trained has the same names and dtypes.
#ifndef NMRT_FOREIGN_RECORD_H
#define NMRT_FOREIGN_RECORD_H

#include "runtime/foreign/folder.h"

extern const char nmrt_record_name[]; // of the file

// Of the foreign folder at `from`, into `folder`.
nmrt_status nmrt_record_write(const char *from, const char *folder, nmrt_error *e);
// The record of `folder` as a foreign folder whose tensors have names and dtypes alone; none where
// there is no record. Close it in any case.
nmrt_status nmrt_record_open(nmrt_foreign *f, const char *folder, nmrt_error *e);

#endif
