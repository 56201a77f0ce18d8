// xxHash64 against values of the reference implementation, and in pieces as in one go.
#include "runtime/hash.h"

#include "tests/runtime/check.h"

#include <string.h>

int main(void)
{
    CHECK(nmrt_hash_of("", 0) == 0xEF46DB3751D8E999u);
    CHECK(nmrt_hash_of("a", 1) == 0xD24EC4F1A98C6E5Bu);
    CHECK(nmrt_hash_of("abc", 3) == 0x44BC2CF5AD770999u);
    const char *text = "Nobody inspects the spammish repetition";
    CHECK(nmrt_hash_of(text, strlen(text)) == 0xFBCEA83C8A378BF1u);
    unsigned char bytes[1000];
    for (int i = 0; i < 1000; i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t piece = 1; piece < 100; piece += 3) {
        nmrt_hash h;
        nmrt_hash_init(&h);
        for (size_t i = 0; i < sizeof bytes; i += piece)
            nmrt_hash_add(&h, bytes + i, sizeof bytes - i < piece ? sizeof bytes - i : piece);
        CHECK(nmrt_hash_value(&h) == nmrt_hash_of(bytes, sizeof bytes));
    }
    return check_result();
}
