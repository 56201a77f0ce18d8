// Cases: calls of functions with their arguments and what the interpreter says of the results, in a
// file beside the shared object that they are calls of. A test of codegen for GPUs writes them
// instead of running the calls ($NEMOCC_CASES, a folder), and tests/tools/kernels runs them where
// there is a GPU and no compiler.
//
// A file has 64-bit words in this machine's order: the magic number, then the cases one after the
// other. A case is the index of its function, the tolerance (a double), the program's symbols, the
// bytes of each argument's buffer, and of each result the number of its elements and, in the order
// in which they lie, their values (doubles).
#ifndef NM_TESTS_CODEGEN_CASES_H
#define NM_TESTS_CODEGEN_CASES_H

#define NM_CASES_MAGIC INT64_C(0x316573616378636e)

#endif
