// Claims: the mesh table as the sharding rule reads it, a list of (dim, axes, kind), most important
// first. In a space (the dims of an op or a value) a dim gets the axes that it claims, unless an
// earlier claim took one of them.
#ifndef NM_PASSES_CLAIMS_H
#define NM_PASSES_CLAIMS_H

#include "ir/form.h"

typedef enum {
    NM_CLAIM_plain,
    NM_CLAIM_also,  // a second home (sequence parallelism): in spaces with the wide dim, or where
                    // an operand already lies so
    NM_CLAIM_store, // of what is kept (ZeRO): in spaces without run-time dims
} nm_claim_kind;

typedef struct nm_claim {
    nm_sym dim;
    nm_axes axes;
    nm_claim_kind kind;
} nm_claim;

typedef enum { // which store claims there are
    NM_STORE_none,
    NM_STORE_param, // parameters over dpp
    NM_STORE_state, // and states over dpp, dps, cps
} nm_store;

typedef struct nm_claims {
    int n;
    nm_claim *claim;
    nm_sym wide; // the dim that makes a value large: in no mesh row, in most parameters; or NULL
} nm_claims;

nm_claims nm_claims_of(nm_module *m, bool also, nm_store store); // in m->arena

// Split the dims of s by the claims, with the axes of `busy` left out. `form` are those of the n
// operands (NULL: free) for claims that ask where operands lie.
void nm_claims_assign(const nm_claims *c, nm_space *s, const nm_axes *busy, int n,
                      const nm_type *const *form);
// t complete and split by the claims: its canonical form.
const nm_type *nm_claims_canonical(nm_module *m, const nm_claims *c, const nm_type *t);

#endif
