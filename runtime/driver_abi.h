// The driver ABI: all that the compiler and the runtime share. A binary holds one constant
// `nmdrv_program` for each flavour, listed in nemocc_programs; the runtime library has main() and reads it.
//
// Every field is 64 bits wide (int64_t, double or a pointer), so that the compiler can emit the
// tables as plain arrays of words. Version it with NMDRV_VERSION; nothing else guards it.
#ifndef NMDRV_ABI_H
#define NMDRV_ABI_H

#include <stdint.h>

// The tables below are laid out by hand.
// clang-format off
enum { NMDRV_VERSION = 18 };

// --- sizes that are bound when the binary starts ----------------------------------------------------

typedef struct nmdrv_sym { // a run-time dim's value, for one call of a function
    int64_t size;          // indices that this call sees (of a micro-batch, a shard)
    int64_t offset;        // the global index of the first of them
    int64_t total;         // of the whole tensor (the whole batch)
    int64_t half, jump;    // the global index of i is offset + i + (i >= half ? jump : 0)
} nmdrv_sym;

// The axes of a mesh (docs/mesh.md), in the order in which ranks are numbered: major first.
typedef enum {
    NMDRV_PP, NMDRV_DPR, NMDRV_DPS, NMDRV_DPP, NMDRV_EP, NMDRV_CPR, NMDRV_CPS, NMDRV_TPK, NMDRV_TPR,
    NMDRV_N_AXES,
} nmdrv_axis;

typedef struct nmdrv_sym_info {
    const char *name, *where; // "seq", "gpt2.nm:3"
    int64_t min, max, multiple; // max 0: none
    // A local extent is `of` split over axes: a fixed dim (extent) or a run-time one (of_sym, else -1).
    const char *of;      // "ff"; "": a run-time dim itself, or a mesh axis
    int64_t extent, of_sym;
    int64_t pad;         // the whole is rounded up to this and to tp before it is split; 0: it has to divide
    int64_t n_axes;
    const int64_t *axis; // [n_axes] nmdrv_axis, major first; of a mesh axis: itself
    // `of` is turns of several indices of a parameter's first dim each (its rows): turn i is the `each` rows
    // from first + i * each on. each 0: the rows themselves.
    int64_t first, each;
} nmdrv_sym_info;

typedef struct nmdrv_mode { // a text of the program for some meshes
    const char *name; // one, mesh, mesh_notp, mesh_nosp, mesh_ring
    int64_t axes;     // bits of nmdrv_axis: those that may be larger than 1
    int64_t sp;       // seq has its second home on tp
    int64_t ring;     // over cp, keys and values go round instead of being gathered
} nmdrv_mode;

typedef enum { // which part of its role's whole step a function is
    NMDRV_WHOLE, NMDRV_FORWARD, NMDRV_TURN, NMDRV_BACKWARD, NMDRV_BEFORE, NMDRV_MIDDLE, NMDRV_AFTER,
} nmdrv_phase;

typedef enum { // when gradients are reduced
    NMDRV_EACH,  // in every micro-batch; or the function does not depend on it
    NMDRV_ONCE,  // they stay pending, in accumulators called pending.NAME: in all micro-batches but the last;
                 // at the end of a step: completes what LAST has left pending
    NMDRV_LAST,  // in the last: NAME is what is pending and its own part, completed. Where NAME has as many
                 // bytes as pending.NAME it may be the same memory
} nmdrv_sums;

typedef enum { // what backward's turns of a repeat find of forward's; the rest they compute again
    NMDRV_RECOMPUTE_NONE,      // all that they read
    NMDRV_RECOMPUTE_SELECTIVE, // what is dear to compute
    NMDRV_RECOMPUTE_FULL,      // what forward's turns were given
} nmdrv_recompute;

typedef enum { // precision fp8: what the products of a repeat's linear layers are of
    NMDRV_PRODUCTS_FP8, NMDRV_PRODUCTS_BF16,
} nmdrv_products;

typedef struct nmdrv_dim {
    const char *name, *where;
    int64_t extent; // logical, fixed when nemocc ran; 0: run-time
    int64_t sym;    // index of the symbol, or -1
} nmdrv_dim;

// --- dtypes ------------------------------------------------------------------------------------------

typedef enum { // in the order of ir/dtypes.def without `real`
    NMDRV_F64, NMDRV_F32, NMDRV_BF16, NMDRV_F16, NMDRV_E4M3, NMDRV_E5M2,
    NMDRV_I64, NMDRV_I32, NMDRV_I16, NMDRV_I8, NMDRV_U8, NMDRV_U4, NMDRV_BOOL,
} nmdrv_dtype;

// --- functions ------------------------------------------------------------------------------------------

typedef enum {
    NMDRV_INIT,        // -> every param and state: their first values
    NMDRV_COUNT,       // data -> count accumulators; over all micro-batches of a step, before MICRO
    NMDRV_MICRO,       // data, params, counts -> acc: forward and backward of one micro-batch
    NMDRV_FINISH,      // acc, params, states -> params, states, emits: once a step
    NMDRV_EVAL_MICRO,  // data, params -> acc
    NMDRV_EVAL_FINISH, // acc -> emits
    NMDRV_DECODE,      // data (new positions), params, caches, scalar at -> caches, logits of the last position
    NMDRV_INFER,       // data, params -> outs
    NMDRV_SCHEDULE,    // scalars -> the learning rate, f32
    NMDRV_WEIGHTS,     // params, states -> kept: once a step, before MICRO, for each part of a stage
} nmdrv_role;

typedef enum { // what an argument or a result is; ir/ir.h: nm_bind_kind, the same order
    NMDRV_NONE, NMDRV_DATA, NMDRV_PARAM, NMDRV_STATE, NMDRV_ACC, NMDRV_CNT, NMDRV_SCALAR, NMDRV_CACHE,
    NMDRV_EMIT, NMDRV_OUT, NMDRV_LINK,
    NMDRV_KEPT,        // what parameters alone decide: as they do it lies in memory of its own, over a step
} nmdrv_bind;

typedef struct nmdrv_arg {
    int64_t bind;        // nmdrv_bind
    const char *name;    // params and states: their path
    int64_t buf;         // index into the function's buffers
    int64_t dtype;       // nmdrv_dtype
    int64_t rank;
    const int64_t *dim;  // [rank] indices into program.dim, outermost first
    int64_t index_of;    // data: values are positions in program.dim[index_of]; -1: not so
    const char *next;    // a link: what it is in the next chunk of the unit; "": the same as in this one
    int64_t chunked;     // its first dim is the unit's repeated one: a chunk sees its part
} nmdrv_arg;

typedef enum {
    NMDRV_BUF_BOUND,     // an argument or result: the runtime provides it
    NMDRV_BUF_TRANSIENT, // from the function's arena, live in [first, last]
} nmdrv_buf_class;

typedef struct nmdrv_buf {
    int64_t cls;         // nmdrv_buf_class
    int64_t first, last; // positions in the function's launch order, both included
    const char *name, *where; // for the plan: what it holds, and the model line that asked for it
} nmdrv_buf;

typedef struct nmdrv_frame nmdrv_frame;
typedef struct nmdrv_func {
    const char *name;    // train.micro
    int64_t role;        // nmdrv_role
    const char *entry;   // of an INFER or SCHEDULE: its name; else ""
    int64_t mode;        // index into program.mode; -1: any
    int64_t phase;       // nmdrv_phase
    int64_t units;       // bits: the unit that it is, or whose parameters' owners run it; 0: every rank
    int64_t turns;       // the symbol of the repeat that may be run in chunks; -1: none
    int64_t sums;        // nmdrv_sums: of several texts of one role, phase and units
    void (*run)(nmdrv_frame *f);
    // Bytes of every buffer [n_bufs] for these sizes.
    void (*sizes)(const nmdrv_sym *sym, int64_t *bytes);
    // Floating-point operations of the products and attentions, for model FLOPs utilisation.
    int64_t (*flops)(const nmdrv_sym *sym);
    int64_t n_bufs, n_args, n_results;
    const nmdrv_buf *buf;
    const nmdrv_arg *arg, *result; // a result that is also an argument (acc, param, state, cache) is
                                   // written in place: both rows name the same buffer
    int64_t recompute;   // nmdrv_recompute: of several texts of one role, phase, units and sums; forward's and backward's
                         // of one chunk go together, by links of the same names. -1: it has no variants
    int64_t products;    // nmdrv_products: likewise of both recompute and this. -1: it has one text
    int64_t kept;        // it takes what WEIGHTS gives; there is another text that does not
} nmdrv_func;

// --- kernels and the six calls ------------------------------------------------------------------------------

// A host kernel does the indices [from, to) of its parallel range. Ranges are independent: any
// split gives the same bits. `scratch` is this thread's, 64-byte aligned, program.scratch bytes.
typedef void nmdrv_kernel_fn(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                             void *scratch);

// A gpu kernel, compiled for this machine, as one thread of a block calls it (runtime/emu). On a GPU it has one
// parameter by value: the same words.
//     word 0             count: the size of the launch's parallel range
//     1 .. n_args        the launch's argument block; where it points to the kernel's symbols, anything
//     then               those symbols, n_syms rows of nmdrv_sym
//     then               from the next multiple of 128 bytes on, of a form that has them: 128 bytes a tensor map
// It is aligned to 128 bytes. Block b does the indices [b * per_block, (b + 1) * per_block), cut at count; a launch of count 0 is none.
typedef void nmdrv_block_fn(const void *words);

typedef struct nmdrv_number { // known to the compiler, or at a launch
    int64_t arg;              // of the argument block: that word; -1: `value`
    int64_t value;
} nmdrv_number;

// A tensor as the copy engine sees it (cuTensorMapEncodeTiled), innermost dim first. What a box has outside of it is 0.
enum { NMDRV_MAP_RANK = 5 };
typedef struct nmdrv_map {
    int64_t arg;              // of the argument block: the address ..
    nmdrv_number offset;      // .. and bytes in front of the tensor's first element
    int64_t dtype, rank;      // nmdrv_dtype; 1 .. NMDRV_MAP_RANK
    nmdrv_number extent[NMDRV_MAP_RANK];
    nmdrv_number stride[NMDRV_MAP_RANK]; // bytes, multiples of 16; the first is not used: one element
    int64_t box[NMDRV_MAP_RANK];         // elements that one copy takes
    int64_t swizzle;          // bytes: 0, 32, 64 or 128
} nmdrv_map;

typedef struct nmdrv_form {   // how a kernel is launched where its image is for sm_90a alone
    nmdrv_block_fn *block;    // likewise; NULL: the target emu was not named
    int64_t threads, per_block, shared;
    int64_t count_at;         // of the argument block: the size of its range, word 0; -1: that of the launch
    int64_t n_maps;
    const nmdrv_map *map;
} nmdrv_form;

typedef struct nmdrv_kernel {
    const char *name, *where; // "row.layer_norm.3", the model lines it was fused from
    // flavour host
    nmdrv_kernel_fn *fn;
    int64_t grain;            // do not give a thread fewer indices than this, if it can be helped
    int64_t chunk;            // a call had best have so many, if each thread gets one: what it does once is dear; 0: any number
    // flavour gpu
    const char *symbol;       // in every image
    nmdrv_block_fn *block;    // NULL: the target emu was not named
    int64_t n_args, syms_at, n_syms;    // of the argument block; which of it points to the symbols, or -1
    int64_t threads, per_block, shared; // threads of a block, indices of a block, bytes of dynamic shared memory
    int64_t unordered;                  // sums of floats are made in no order: their last bits differ from run to run
    const nmdrv_form *sm90a;            // NULL: as everywhere
} nmdrv_kernel;

typedef struct nmdrv_image { // all kernels of a gpu program for one architecture
    int64_t arch;            // 80, 90: sm_80, sm_90
    int64_t specific;        // sm_90a: runs on 9.0 alone; else on every later one, too (a cubin: of the same major)
    int64_t is_cubin;        // else PTX, which ends with a 0 byte that `size` counts
    const void *data;
    int64_t size;
} nmdrv_image;

typedef enum { // what comes behind a product, before it is stored
    NMDRV_EPILOGUE_NONE,
    NMDRV_EPILOGUE_BIAS,          // x + bias[n]
    NMDRV_EPILOGUE_GELU,          // gelu(x), the tanh form
    NMDRV_EPILOGUE_GELU_BIAS,     // gelu(x + bias[n])
    NMDRV_EPILOGUE_GELU_AUX,      // aux[b, m, n] = x, and gelu(x), of what is not rounded
    NMDRV_EPILOGUE_GELU_AUX_BIAS, // aux[b, m, n] = x + bias[n], and gelu of that
    NMDRV_EPILOGUE_DGELU,         // x * gelu'(aux[b, m, n])
    NMDRV_EPILOGUE_BGRAD_A,       // x, and bias[m] = the sum over k of a[m, k], which lies with a_m = 1; one batch, here and below
    NMDRV_EPILOGUE_BGRAD_B,       // x, and bias[n] = the sum over k of b[n, k], which lies with b_n = 1
} nmdrv_epilogue;

typedef struct nmdrv_product { // c[b, m, n] = epilogue(alpha * sum over k of a[b, m, k] * b[b, n, k] (+ c))
    const char *name, *where;
    int64_t a_dtype, b_dtype, c_dtype, bias_dtype; // nmdrv_dtype; aux has c's dtype and strides
    int64_t adds;            // to what c holds
    int64_t epilogue;        // nmdrv_epilogue
    double alpha;
    int64_t fast;            // of e4m3, e5m2: sums may be kept in fewer bits than f32's
} nmdrv_product;

typedef struct nmdrv_geometry { // of one product, read during the call: extents, and strides in elements. Each operand is
    int64_t batch, m, n, k;     // a matrix: one stride is 1, the other as large as that dim at least; c_n is 1; a_batch, b_batch may be 0
    int64_t a_batch, a_m, a_k, b_batch, b_n, b_k, c_batch, c_m, c_n;
} nmdrv_geometry;

typedef struct nmdrv_calls { // the device's; `launch` returns when the work is done or enqueued in order
    void (*launch)(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg);
    void (*fill)(nmdrv_frame *f, void *dst, int64_t bytes); // with zeros
    void (*copy)(nmdrv_frame *f, void *dst, const void *src, int64_t bytes);
    // geometry: ALL_REDUCE, ROTATE {elements}; REDUCE_SCATTER, ALL_GATHER {outer, len, inner}, len of the
    // smaller side. Returns where the result lies: `in` where there was nothing to do, else `out`. Where as
    // many elements come out of REDUCE_SCATTER or ALL_GATHER as go in there is nothing to do, and `out` may
    // have no room.
    void *(*collective)(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out, void *in);
    // The launch of collectives that this row ended is done; at once where none is under way.
    void (*wait)(nmdrv_frame *f, int64_t collective);
    // Flavour gpu. In order with launches. bias, aux: read or written; NULL where the row's epilogue has none.
    // a_scale, b_scale: of e4m3 and e5m2, a number in the device's memory that all elements are multiplied by; NULL: 1.
    // Their rows have a_k = b_k = 1, and bias' dtype is bf16 where c's is f32.
    void (*product)(nmdrv_frame *f, int64_t product, const nmdrv_geometry *geometry, void *c, const void *a,
                    const void *b, void *bias, void *aux, const float *a_scale, const float *b_scale);
} nmdrv_calls;

typedef enum {
    NMDRV_ALL_REDUCE, NMDRV_REDUCE_SCATTER, NMDRV_ALL_GATHER, NMDRV_ALL_TO_ALL,
    NMDRV_ROTATE, // the next member's operand
} nmdrv_collective_kind;

typedef struct nmdrv_collective {
    const char *name, *where; // "reduce_scatter.grad.q.w", the model's line
    int64_t kind;             // nmdrv_collective_kind
    int64_t dtype;            // nmdrv_dtype
    int64_t max;              // the maximum, not the sum
    int64_t axes;             // bits of nmdrv_axis
    int64_t over;             // the symbol of the split dim (the smaller side's), for the zigzag; -1: none
    int64_t joins;            // the larger side is whole along `over`: blocks lie by their global indices
    int64_t units;            // of its function: over pp, the group is the stages that run it
    int64_t more;             // the next one follows at once, of the same kind and axes, and reads
                              // nothing of this one: the device may do both in one launch then.
                              // It keeps the geometry; nobody looks at `out` before
    int64_t async;            // of a launch's last row: a call of wait follows in this call of the function, and
                              // until then nobody reads `out` or writes to `in`: it may go on beside launches.
                              // Launches of collectives begin in the order of their calls
} nmdrv_collective;

struct nmdrv_frame {     // what one call of a function runs on; made by the runtime
    const nmdrv_sym *sym; // [program.n_syms]
    void **buf;           // [func.n_bufs]
    const nmdrv_calls *call;
    void *device;         // the calls' own
};

// --- weights of foreign checkpoints (docs/weights.md) ---------------------------------------------------------

typedef struct nmdrv_part_of { // a parameter, or a part of one, in one tensor of a foreign checkpoint
    const char *name;        // of the file's tensor: "model.layers.{0}.self_attn.qkv_proj.weight"; {j}: the index along the parameter's dim j
    const char *codec, *scales; // "": plain numbers; "mxfp4": name has the blocks, scales (with {j}, too) the scales
    const char *where;       // "llama3.nm:52"
    int64_t param;           // index into program.param
    int64_t rank;            // of the file's tensor (decoded, of a codec) ..
    const int64_t *shape;    // [rank] .. and its extents
    int64_t base;            // elements: the parameter's index i lies at base + sum over j of (i_j - from_j) * stride_j
    const int64_t *stride;   // [param rank]; 0 where dim j is in the name, or one index of it is the part
    const int64_t *from, *extent; // [param rank] the part of the parameter: [from, from + extent)
} nmdrv_part_of;

// What config.json says and what it has to. A value is JSON text. A file that lacks a key, or has null there, says `absent`; so
// does this binary where `value` is "". The two must be equal: strings, bools, lists; numbers as doubles, and those that are not
// whole as floats, too. absent "": where ours has a value, a file must have the key; where not, it must not.
typedef struct nmdrv_config_row {
    int64_t n_keys;          // spellings, at least 1: an export writes the first, an import reads every one that the file has
    const char *const *key;  // "rope_scaling.factor": of an object in an object
    const char *value;       // of this binary, as an export writes it; "": an export has no such key
    const char *absent;      // ""
    int64_t written;         // an export writes it, and no import compares it: max_position_embeddings
    const char *where;       // "llama3.nm:55"
} nmdrv_config_row;

typedef struct nmdrv_weights { // weights hf { ... }
    const char *name, *where;  // "hf", "llama3.nm:52"
    const char *misfit;        // why it does not fit what was compiled, a sentence; "": it fits, and its parts are all parameters in its scope
    int64_t n_config;          // 0: it has no config block
    const nmdrv_config_row *config;
    int64_t n_parts;           // by parameter, in the order of program.param; 0 where it does not fit
    const nmdrv_part_of *part;
} nmdrv_weights;

// --- the program ---------------------------------------------------------------------------------------------

typedef struct nmdrv_param { // a parameter, or a state that is kept in checkpoints
    const char *path;        // decoder.q.w; adamw.m.decoder.q.w
    int64_t is_state, frozen, no_decay;
    int64_t dtype, rank;
    const int64_t *dim;      // [rank] indices into program.dim
    const int64_t *shape;    // [rank] logical extents
    const char *optimizer;   // that trains it, or whose state it is; "": none
    int64_t own;             // a state of this program alone: others of the binary lack it, and so may checkpoints. It
                             // begins at 0, and INIT does not give it. Such rows stand behind the others
} nmdrv_param;

typedef struct nmdrv_hyper { // a number that a flag of the binary can change: default = value + per_step * steps
    const char *name;        // lr, warmup, betas.0, eps, weight_decay, clip
    double value, per_step;
    const char *schedule;    // where it is a schedule's peak: the default schedule; else ""
} nmdrv_hyper;

typedef enum { NMDRV_HOST, NMDRV_GPU } nmdrv_flavour;

// All that checkpoints depend on (dims, params, hypers, hash) is the same in all programs of a binary, but for params
// that are a program's own.
typedef struct nmdrv_program {
    int64_t version;            // NMDRV_VERSION
    int64_t flavour;            // nmdrv_flavour: host; gpu: the devices cuda, emu and null
    const char *precision;      // f32, bf16, fp8: of what is computed; parameters and states are f32 in all
    const char *name, *preset;  // gpt2, tiny ("" : none)
    const char *hash;           // hex, of the lowered text: checkpoints name it
    const char *compiler, *cpu; // nemocc's version; the instruction set that the kernels need
    int64_t cpu_level;          // 1 x86-64 .. 4 x86-64-v4: refuse politely on a lesser machine
    int64_t scratch;            // bytes of scratch a thread
    int64_t n_syms, n_dims, n_params, n_hypers, n_funcs, n_kernels;
    const nmdrv_sym_info *sym;
    const nmdrv_dim *dim;
    const nmdrv_param *param;
    const nmdrv_hyper *hyper;
    const nmdrv_func *func;
    const nmdrv_kernel *kernel;
    int64_t n_modes, n_collectives, n_units;
    const nmdrv_mode *mode;
    const nmdrv_collective *collective;
    int64_t pp_turns;        // turns of all chunked repeats together: the most stages there can be
    const char *pp_where;    // "layers (gpt2.nm:4)", "turns of layers (gemma2.nm:26)"; "": nothing to split over pp
    int64_t kv_extent;       // gcd of all dims of key heads, tpk = gcd of it and tp; 0: none, tpk = tp
    const char *no_decode;      // why there is no DECODE function: a sentence for the user; "" if there is one
    const char *batch, *seq;    // the dims of a text, as the model calls them: samples, and the positions of one; "": none
    const nmdrv_image *image;   // flavour gpu: best first; the last row has no data. NULL: flavour host
    int64_t n_products;         // flavour gpu
    const nmdrv_product *product;
    const char *recipe;         // precision fp8: where its scales come from: current, delayed, blockwise; "": others
    int64_t n_weights;
    const nmdrv_weights *weights; // of the model's file first; their names differ
} nmdrv_program;

extern const nmdrv_program *const nemocc_programs[]; // NULL at the end; one at least

#endif
