// --emit=resources: what each gpu kernel takes of a GPU, from the words of ptxas -v. One line a
// kernel and architecture; then whatever else ptxas remarked (spills, serialized wgmma, ignored
// setmaxnreg).
#include "codegen/resources.h"

#include "codegen/output.h"

#include <stdlib.h>
#include <string.h>

typedef struct nm_usage { // of one kernel, as ptxas tells it
    char symbol[64];
    int registers, stack, spills;
    int64_t shared; // static
} nm_usage;

// --- reading ptxas -------------------------------------------------------------------------------

static const char *after(const char *line, const char *end, const char *words)
{
    size_t n = strlen(words);
    for (const char *p = line; p + n <= end; p++)
        if (memcmp(p, words, n) == 0)
            return p + n;
    return NULL;
}

static void read_frame(nm_usage *u, const char *line)
{
    int stores = 0, loads = 0;
    sscanf(line, " %d bytes stack frame, %d bytes spill stores, %d bytes spill loads", &u->stack,
           &stores, &loads);
    u->spills = stores + loads;
}

// "Used 22 registers, used 1 barriers, 4096 bytes smem"
static void read_use(nm_usage *u, const char *used, const char *end)
{
    u->registers = (int)strtol(used, NULL, 10);
    const char *p = after(used, end, " bytes smem");
    if (!p)
        return;
    p -= strlen(" bytes smem");
    while (p > used && p[-1] >= '0' && p[-1] <= '9')
        p--;
    u->shared = strtoll(p, NULL, 10);
}

static bool is_known(const char *line, const char *end)
{
    static const char *const words[] = {" bytes gmem", "Compile time",    "Function properties",
                                        "stack frame", "Compiling entry", "Used "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (after(line, end, words[i]))
            return true;
    return line == end;
}

// --- the table -----------------------------------------------------------------------------------

static const nm_kernel *find_kernel(int n, const nm_program *p, const char *symbol)
{
    char name[64];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < p[i].n_kernels; k++) {
            const nm_kernel *x = &p[i].kernel[k];
            snprintf(name, sizeof name, "%s_%s", p[i].codes->code[x->code].name, x->function);
            if (p[i].m->options.flavour == NM_FLAVOUR_gpu && strcmp(name, symbol) == 0)
                return x;
        }
    nm_bug("resources: ptxas speaks of %s", symbol);
}

static void print_row(FILE *out, const char *arch, const nm_usage *u, const nm_kernel *k)
{
    bool has_form = strcmp(arch, "sm_90a") == 0 && k->form.threads;
    int64_t threads = has_form ? k->form.threads : k->threads;
    int64_t shared = has_form ? k->form.shared : k->shared;
    fprintf(out, "%-8s %-14s %4d %6lld %8lld %6d %6d  %s: %s\n", arch, u->symbol, u->registers,
            (long long)threads, (long long)(u->shared + shared), u->stack, u->spills, k->name,
            k->where);
}

static void print_image(FILE *out, const nm_ptxas_said *said, int n, const nm_program *p)
{
    nm_usage u = {0};
    for (const char *line = said->text, *end; *line; line = end + (*end == '\n')) {
        end = line + strcspn(line, "\n");
        const char *entry = after(line, end, "Compiling entry function '");
        const char *used = after(line, end, "Used ");
        if (entry) {
            u = (nm_usage){0};
            snprintf(u.symbol, sizeof u.symbol, "%.*s", (int)strcspn(entry, "'"), entry);
        } else if (after(line, end, "stack frame")) {
            read_frame(&u, line);
        } else if (used) {
            read_use(&u, used, end);
            print_row(out, said->target->name, &u, find_kernel(n, p, u.symbol));
        } else if (!is_known(line, end)) {
            fprintf(out, "%-8s %-14s %.*s\n", said->target->name, u.symbol, (int)(end - line),
                    line);
        }
    }
}

bool nm_resources_write(nm_module *m, const char *path, int n_said, const nm_ptxas_said *said,
                        int n, const nm_program *p)
{
    FILE *out = nm_output_open(m, path);
    if (!out)
        return false;
    fprintf(out, "%-8s %-14s %4s %6s %8s %6s %6s  %s\n", "arch", "kernel", "regs", "block",
            "shared", "stack", "spills", "what it computes: the model's lines");
    for (int i = 0; i < n_said; i++)
        print_image(out, &said[i], n, p);
    return nm_output_close(m, path, out);
}
