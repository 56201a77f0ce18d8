// The command line of nemocc.
#ifndef NM_OPTIONS_H
#define NM_OPTIONS_H

#include "frontend/elab.h"
#include "passes/pass.h"

enum { NM_EXIT_OK = 0, NM_EXIT_MODEL = 1, NM_EXIT_USAGE = 2 }; // the compiler's exit codes
enum { NM_MAX_DEFINES = 64, NM_MAX_FIXES = 16 };

typedef struct nm_cli { // what the command line says
    const char *file;   // the model
    const char *out;    // NULL: train_bin, or standard output for text
    const char *preset, *cpu, *entry, *hf_config;
    const char *target, *arch; // lists: host,cuda,emu,null; sm_80,sm_90a
    const char *precision;     // a list: f32,bf16
    const char *fp8_recipe;    // a list: current,delayed
    const char *fp8_format;    // hybrid, e4m3
    const char *recompute;     // a list: none,selective,full
    const char *emit;          // what to write: binary, nmir, ...
    const char *explain_comm;  // list the collectives of this text; "": of all; NULL: do not
    long long head_chunk;      // 0: not said
    int n_defines, n_fixes;
    nm_define define[NM_MAX_DEFINES];
    nm_fix fix[NM_MAX_FIXES]; // names are not interned
    bool check, list_presets, remarks_fuse, fast_casts, fast_attention_grad, plain_products;
    bool help, version, print_pipeline;
    nm_pipeline_opts passes;
} nm_cli;

// false: a usage error was printed to stderr.
bool nm_cli_parse(nm_cli *cli, int argc, char **argv);
void nm_cli_help(FILE *out);

#endif
