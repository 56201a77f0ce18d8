// Runs a command and prints the most bytes of memory that it held at once. Exits as it does.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    pid_t child = argc > 1 ? fork() : -1;
    struct rusage usage;
    int status;
    if (!child) {
        dup2(STDERR_FILENO, STDOUT_FILENO); // ours is for the number
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return 127;
    printf("%ld\n", usage.ru_maxrss * 1024L);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
