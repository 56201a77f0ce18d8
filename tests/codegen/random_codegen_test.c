// Random programs, compiled, equal the interpreter. Arguments: the first seed, and how many.
#include "tests/codegen/random_programs.h"

int main(int argc, char **argv)
{
    check_random(argc > 1 ? atoi(argv[1]) : 1, argc > 2 ? atoi(argv[2]) : 24, NM_FLAVOUR_host);
    return failures != 0;
}
