// What the user should know of the flags before the run: what they do otherwise than one may think.
#ifndef NMRT_NOTES_H
#define NMRT_NOTES_H

#include "runtime/run.h"

// Flags that were given and change nothing on this mesh: a note each. They are no mistakes, as one
// script may serve several meshes.
void nmrt_note_idle_flags(const nmrt_run *run);
// Of these, what the program or the device has no use for: also of a verb without a mesh.
void nmrt_note_program_flags(const nmrt_run *run);
// A library of MPI that lets one thread alone call it.
void nmrt_note_one_thread(const nmrt_run *run);

#endif
