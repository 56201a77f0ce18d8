// The line of the kernel that a misuse is at: the innermost address on the thread's stack that is
// neither the emulator's nor a library's, looked up in the program's debug information by
// addr2line, where both are to be had.
#define _GNU_SOURCE
#include "runtime/emu/block.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char emulator_start[] __asm__("__start_nmemu_text");
extern const char emulator_end[] __asm__("__stop_nmemu_text");
extern char **environ;

enum { DEPTH = 48 };

static bool is_kernel(const nmemu_block *b, const void *pc)
{
    Dl_info here, kernel;
    if ((const char *)pc >= emulator_start && (const char *)pc < emulator_end)
        return false;
    return dladdr(pc, &here) && dladdr((const void *)b->launch->fn, &kernel) &&
           here.dli_fbase == kernel.dli_fbase;
}

const void *nmemu_pc_if_kernel(const nmemu_block *b, const void *pc)
{
    return is_kernel(b, pc) ? pc : NULL;
}

const void *nmemu_kernel_pc(const nmemu_block *b)
{
    void *frame[DEPTH];
    int n = backtrace(frame, DEPTH);
    for (int i = 0; i < n; i++)
        if (is_kernel(b, frame[i]))
            return (const char *)frame[i] - 1; // it is a return address
    return NULL;
}

// The first line that a program writes; false: it could not be run or failed.
static bool first_line_of(char *const argv[], char *line, int room)
{
    int end[2], status = -1;
    pid_t pid;
    if (pipe(end))
        return false;
    posix_spawn_file_actions_t act;
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, end[1], 1);
    posix_spawn_file_actions_addclose(&act, end[0]);
    posix_spawn_file_actions_addclose(&act, end[1]);
    bool started = !posix_spawnp(&pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    close(end[1]);
    FILE *from = fdopen(end[0], "r");
    bool read = from && started && fgets(line, room, from);
    if (from)
        fclose(from);
    else
        close(end[0]);
    return started && waitpid(pid, &status, 0) == pid && status == 0 && read;
}

bool nmemu_line_of(const void *pc, char *line, int room)
{
    Dl_info info;
    struct link_map *map;
    char address[32];
    if (!pc || !dladdr1(pc, &info, (void **)&map, RTLD_DL_LINKMAP))
        return false;
    snprintf(address, sizeof address, "%#lx", (u64)pc - map->l_addr);
    char *object = map->l_name[0] ? map->l_name : "/proc/self/exe", self[4096];
    if (!map->l_name[0]) { // addr2line has a /proc/self of its own
        long n = readlink(object, self, sizeof self - 1);
        if (n <= 0)
            return false;
        self[n] = 0;
        object = self;
    }
    char *argv[] = {"addr2line", "-e", object, address, NULL};
    if (!first_line_of(argv, line, room) || line[0] == '?')
        return false;
    line[strcspn(line, "\n ")] = 0; // behind it, perhaps: (discriminator 2)
    return !strstr(line, ":?");     // of code that has no line
}
