// Kernels of several groups as one, in the flavour gpu (passes/bundle.c): its blocks are dealt to
// parts, each of which is a launch of its own as far as its body can tell.
//
// The parameter, in words:
//
//     0              blocks of all parts together: the range, of which a block has one index
//     1 .. n         the first block of each part
//     then           each part's words: count, argument block; where that points to the symbols
//                    stands the word at which they begin
//     then           tables of symbols, which parts may share
//
// Parts with one body stand side by side, so a body finds its part's words by multiplying.
#ifndef NM_CODEGEN_BUNDLE_H
#define NM_CODEGEN_BUNDLE_H

#include "codegen/program.h"

enum { NM_MOST_WORDS = 512 }; // of a parameter, on every GPU: 4 KB

// The word at which part i of these begins; part n: behind all.
int nm_bundle_at(const nm_kernel *part, int n, int i);
// The row, without a name, of the kernel of n parts in the order of their codes, of equal threads,
// whose parameter has so many words. Bodies are those of the parts' kernels.
nm_kernel nm_program_bundle(nm_program *p, int n, const nm_kernel *part, int words);

#endif
