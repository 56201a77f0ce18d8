// What is written whole or not at all grows under a name of its own, NAME.part, and gets its name
// by one rename. Where a user names it, a NAME.part that is there is refused: nothing tells what a
// kill has left from another program's file. It is known to be the run's own, and goes, in a folder
// that the run has locked (--save), and where a journal tells of it (corpora).
#ifndef NMRT_ASIDE_H
#define NMRT_ASIDE_H

#include "runtime/file.h"

// path.part of a file or a folder to write. Fails where it is there already, or where `path` is no
// name (".", "/"), or is what a rename may not replace: for a file what is none, as a folder or
// /dev/null, for a folder all but an empty one.
nmrt_status nmrt_aside_file(char aside[NMRT_PATH], const char *path, nmrt_error *e);
nmrt_status nmrt_aside_folder(char aside[NMRT_PATH], const char *path, nmrt_error *e);
// What to say of one that is there.
nmrt_status nmrt_aside_refuse(const char *aside, nmrt_error *e);
// Makes the folder, which nobody else has made, and those above it.
nmrt_status nmrt_aside_make(const char *aside, nmrt_error *e);
// Gives it its name, which it has after a power cut, too, if what it holds has been synced.
nmrt_status nmrt_aside_place(const char *aside, const char *path, nmrt_error *e);
// Of a folder of plain files, in the place of one. Where the file system cannot exchange two names,
// a kill may leave the old one as path.old.part: who looks for `path` looks for that next.
nmrt_status nmrt_aside_replace(const char *aside, const char *path, nmrt_error *e);

#endif
