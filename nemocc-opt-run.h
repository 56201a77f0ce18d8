// Run lines: what a function of an .nmir file gives for some arguments, checked by the interpreter.
//
//   # run: @f([[1, 2]], [[3]]) ~= [[3]] 1e-6
//
// Results are separated by commas; the last number is the tolerance, absolute and relative (1e-6 if
// there is none). Run-time dims get their sizes from the arguments.
#ifndef NM_NEMOCC_OPT_RUN_H
#define NM_NEMOCC_OPT_RUN_H

#include "ir/ir.h"

// Every run line of src, against m. false: a line is malformed, or the numbers differ: reported.
bool nm_run_lines(nm_module *m, const nm_source *src);

#endif
