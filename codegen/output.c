// Texts at the path of -o: see output.h.
#include "codegen/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool complain(nm_module *m, const char *path)
{
    return nm_error(m->diag, (nm_loc){0}, "cannot write %s: %s", path, strerror(errno));
}

static FILE *open_stdout(void)
{
    int fd = dup(STDOUT_FILENO);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && !f)
        close(fd);
    return f;
}

FILE *nm_output_open(nm_module *m, const char *path)
{
    FILE *f = strcmp(path, "/dev/stdout") == 0 ? open_stdout() : fopen(path, "w");
    if (!f)
        complain(m, path);
    return f;
}

bool nm_output_close(nm_module *m, const char *path, FILE *f)
{
    bool ok = !ferror(f);
    ok = fclose(f) == 0 && ok;
    return ok || complain(m, path);
}
