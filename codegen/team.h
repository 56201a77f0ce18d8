// Teams: the threads of a gpu kernel that do one row together. Sweeps are dealt to them
// (nm_gen.deal), what each has found is combined in a fixed order, and all of them know the result.
// On the host a team is one thread, which does the rows of its range one after the other.
//
// A team is a block; or, where rows are short, a power of two of neighbours in a warp, so that a
// block does several rows. Teams without a row stay with the others of their warp: they read the
// block's first row and store nothing.
#ifndef NM_CODEGEN_TEAM_H
#define NM_CODEGEN_TEAM_H

#include "codegen/gen.h"

typedef struct nm_team {
    int size;            // threads
    bool loops;          // they keep nothing of a row from one pass to the next
    LLVMValueRef row;    // the index in the kernel's range; without one: the block's first
    LLVMValueRef lane;   // the thread's number in its team; NULL: a team of one
    LLVMValueRef active; // it has a row; NULL: always
    int n_shared;        // 8 bytes each of shared memory that combinations have used
    nm_loop loop;        // the host's
    nm_scope scope;
} nm_team;

// For rows of so many elements, `wide` results with all of them, `joins` combinations of one value:
// sets the launch's geometry. Before the kernel is begun. `whole`: a block, however short a row is.
nm_team nm_team_for_rows(nm_gen *g, const nm_extent *elements, int wide, int joins);
nm_team nm_team_whole(nm_gen *g, int joins);
// Between them, the code of one row.
void nm_team_begin(nm_gen *g, nm_team *t);
void nm_team_end(nm_gen *g, nm_team *t);

// x[i], of reduction op[i], becomes the combination of all threads' x[i], the same in each.
void nm_team_join(nm_gen *g, nm_team *t, int n, nm_op *const *op, LLVMValueRef *x);
// Nobody goes on before all have come.
void nm_team_wait(nm_gen *g, const nm_team *t);
// Between them, what one thread does: the first of a team that has a row. NULL: no condition.
LLVMBasicBlockRef nm_team_begin_first(nm_gen *g, const nm_team *t);
LLVMBasicBlockRef nm_team_begin_active(nm_gen *g, const nm_team *t); // all threads of such teams
void nm_team_end_part(nm_gen *g, LLVMBasicBlockRef next);

// An element of any computing type in the block's dynamic shared memory, `at` bytes from its begin;
// all threads of the block wait for each other.
void nm_shared_put(nm_gen *g, LLVMValueRef at, LLVMValueRef x);
LLVMValueRef nm_shared_get(nm_gen *g, LLVMValueRef at, LLVMTypeRef type);
void nm_shared_wait(nm_gen *g);

#endif
