// Pairs of units whose clusters might merge, in a queue by what that saves; what stands between
// clusters.
#ifndef NM_PASSES_FUSE_PICK_H
#define NM_PASSES_FUSE_PICK_H

#include "passes/fuse.h"

typedef struct nm_pair {
    int p, q;            // units: producer and consumer, or two readers of one value
    bool siblings;       // the latter
    double saves;        // elements loaded and stored, when it was pushed last
    int pushed;          // how often; an older entry in the queue counts for nothing
    const char *refused; // why not, since their clusters changed last
    int between;         // a unit that kept them apart; -1: none
    int next[2];         // the next pair of unit p, of unit q: 2 * pair + (0: its p, 1: its q); -1
} nm_pair;

typedef struct nm_pair_entry {
    double saves;
    int pair, pushed;
} nm_pair_entry;

typedef struct nm_pairs {
    nm_fuse *g;
    int n, room;
    nm_pair *pair;
    int *first; // by unit: as nm_pair.next
    int n_queued, queue_room;
    nm_pair_entry *queue; // a heap: most saved, then first in the program, on top
} nm_pairs;

typedef struct nm_order { // of clusters: each behind all that it reads (fuse_order.c)
    nm_fuse *g;
    int *place, *at;  // of a cluster; the cluster there, or -1
    int *mark, stamp; // by cluster: seen in the search with this stamp
    int *stack;
} nm_order;

nm_order nm_order_new(nm_fuse *g); // before anything is merged
// Does a third cluster stand between p and q: is there a way from one to the other through it?
// between: a unit of it, from the last time that these two were asked for; -1: not known.
bool nm_order_parts(nm_order *o, int p, int q, int *between);
// They become one, called p; no third one stands between them. To be told before units are moved.
void nm_order_merge(nm_order *o, int p, int q);

// Does a unit of the cluster read v?
bool nm_fuse_reads(const nm_fuse *g, int cluster, const nm_value *v);
nm_pairs nm_pairs_find(nm_fuse *g);
// Every pair has another turn.
void nm_pairs_push_all(nm_pairs *k);
// Cluster c has changed: what its pairs save and may do has, too.
void nm_pairs_push_cluster(nm_pairs *k, const nm_cluster *c);
// The pair of two clusters that saves most; NULL: there is none left.
nm_pair *nm_pairs_pop(nm_pairs *k);

// fuse_remarks.c: what became of them, for -Rfuse and --explain=fuse@%VALUE.
void nm_fuse_remark(nm_fuse *g, const nm_pairs *k);
extern const char nm_fuse_apart[]; // why a pair is refused that no kernel could compute

#endif
