// A driver function being written (codegen/driver.c), and the parts that write pieces of it.
#ifndef NM_CODEGEN_DRIVE_H
#define NM_CODEGEN_DRIVE_H

#include "codegen/program.h"

typedef struct nm_turn_value { // the turn of an enclosing repeat
    const nm_op *repeat;
    LLVMValueRef turn;
} nm_turn_value;

typedef struct nm_own_table { // nmdrv_sym rows that kernels ask for, gathered on the stack
    nm_own_syms syms;
    LLVMValueRef at;
    struct nm_own_table *next;
} nm_own_table;

typedef struct nm_drive {
    nm_program *p;
    nm_driver *d;
    nm_fn fn;
    LLVMValueRef frame, buf, call; // frame->buf, frame->call
    LLVMValueRef launch, block;    // call->launch, the argument block
    LLVMValueRef geometry;         // of a collective, on the stack; NULL: not yet
    LLVMValueRef product_geometry; // likewise
    int position;                  // ir/plan.h: of the next op that has one
    int n_turns;
    nm_turn_value turn[NM_MAX_TURNS + 1];
    LLVMValueRef *given;  // by value id: where a collective said that its loose result lies
    int *row;             // by value id: of the table of collectives, if one gave it
    nm_own_table *tables; // of the function
} nm_drive;

// driver.c: the size of a launch's range; syms: of its kernel. A launch of what w->block holds.
LLVMValueRef nm_drive_range(nm_drive *w, const nm_launch *l, LLVMValueRef syms);
void nm_drive_launch(nm_drive *w, int kernel, LLVMValueRef range);

// driver_bundle.c: the groups that are launched together with this one, the first. False: reported.
bool nm_drive_bundle(nm_drive *w, nm_op *first);

// driver_calls.c: a function of the device's table; a copy of a whole value.
typedef enum { // places in nmdrv_calls
    NM_CALL_LAUNCH,
    NM_CALL_FILL,
    NM_CALL_COPY,
    NM_CALL_COLLECTIVE,
    NM_CALL_WAIT,
    NM_CALL_PRODUCT,
} nm_call_slot;
LLVMValueRef nm_drive_callee(nm_drive *w, nm_call_slot slot);
void nm_drive_copy(nm_drive *w, const nm_type *t, LLVMValueRef to, LLVMValueRef from);

// driver_args.c: the address of a place, now; of a loose one, what its collective gave.
LLVMValueRef nm_drive_address(nm_drive *w, const nm_place *place);
// One word of a launch's argument block. syms: of the kernel that is launched.
LLVMValueRef nm_drive_argument(nm_drive *w, const nm_arg *arg, const nm_op *group,
                               const nm_own_syms *syms);
void nm_drive_word(nm_drive *w, int i, LLVMValueRef value); // of w->block
// A table of these rows of the module's, filled when the function is entered.
LLVMValueRef nm_drive_syms(nm_drive *w, const nm_own_syms *syms);

// driver_collective.c. False: reported.
bool nm_drive_collective(nm_drive *w, nm_op *op);
void nm_drive_wait(nm_drive *w, const nm_op *wait);

// driver_product.c. false: the group is no product that a library knows; nothing was written.
bool nm_drive_product(nm_drive *w, nm_op *group);

#endif
