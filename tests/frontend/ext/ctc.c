#include <stdint.h>
int ctc(const float *logp, const float *letters, float *loss, int64_t batch, int64_t time)
{
    return 0;
}
