// What a module interns: private to ir/.
#ifndef NM_IR_TABLES_H
#define NM_IR_TABLES_H

#include "ir/ir.h"

enum {
    NM_MAX_NEST = 16,  // bodies within bodies; quotients within quotients
    NM_MAX_TERMS = 32, // of an extent
    NM_MAX_OPERANDS = 1 << 16,
    NM_MAX_OP_ATTRS = 16,
};

struct nm_hash_slot {
    uint64_t hash;
    const void *item;
};

typedef struct nm_hash_set { // open addressing over pointers; nothing walks it
    size_t n, cap;
    struct nm_hash_slot *slot;
} nm_hash_set;

// The slot of the item that `same` accepts, or a new one for it whose item is NULL: the caller
// fills it at once.
struct nm_hash_slot *nm_hash_set_find(nm_arena *arena, nm_hash_set *set, uint64_t hash,
                                      bool (*same)(const void *item, const void *wanted),
                                      const void *wanted);

// The item, or NULL; adds nothing.
const void *nm_hash_set_get(const nm_hash_set *set, uint64_t hash,
                            bool (*same)(const void *item, const void *wanted), const void *wanted);

typedef struct nm_attr_spec { // one attribute in an op's row
    nm_sym name;
    nm_attr_kind kind;
    bool optional;
} nm_attr_spec;

typedef struct nm_attr_schema {
    int n;
    nm_attr_spec spec[NM_MAX_OP_ATTRS];
} nm_attr_schema;

struct nm_tables {
    nm_hash_set types, extents;
    uint32_t n_extents;
    nm_attr_schema schema[NM_N_OPS];
};

void nm_attr_schemas_init(nm_module *m); // ir/attr.c; from the rows' .attrs
// The attributes in the order of the schema, in `out`; false: reported with attr-1 to attr-4.
bool nm_attrs_normalise(nm_module *m, nm_loc loc, nm_opcode code, int n, const nm_attr *attr,
                        int *n_out, nm_attr out[NM_MAX_OP_ATTRS]);

// Structural order, the same in every run: -1, 0, 1.
int nm_extent_compare(const nm_extent *a, const nm_extent *b);
int nm_extent_nest(const nm_extent *e); // quotients within quotients

// The extent that a name has where a type says nothing else: the declared one; of an undeclared
// d' that of d. NULL: nothing declared.
const nm_extent *nm_dim_default(nm_module *m, nm_sym name);

// --- text ----------------------------------------------------------------------------------------

void nm_text_type(FILE *out, nm_module *m, const nm_type *t);
void nm_text_extent(FILE *out, const nm_extent *e);
void nm_text_axes(FILE *out, const nm_axes *axes); // cp.tp
void nm_text_name(FILE *out, nm_sym name);         // quoted, unless it is a word
void nm_text_float(FILE *out, double value);       // the shortest digits that read back as the same
bool nm_text_is_word(const char *s, size_t n);     // [A-Za-z_][A-Za-z0-9_.]*'*
int nm_text_bind(const char *word);                // nm_bind_kind, or -1
int nm_text_phase(const char *word);               // nm_phase, or -1
int nm_text_sums(const char *word);                // nm_sums, or -1
int nm_text_recompute(const char *word);           // nm_recompute, or -1
int nm_text_products(const char *word);            // nm_products, or -1

#endif
