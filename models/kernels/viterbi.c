// The likeliest monotonic path (Viterbi 1967; monotonic alignment search of Kim et al. 2020): frame
// 0 shows letter 0, the last frame the last letter, and from one frame to the next the path stays
// or goes on by one. Frames behind the end show letter 0. With fewer frames than letters the path
// ends as far as it comes.
#include "nemocc/op.h"

static int64_t at_most(int64_t n, int64_t most) { return n < 0 ? 0 : n < most ? n : most; }

// best[t, i]: of paths up to frame t and letter i; letters that no path has reached are not read.
static void search(const float *logp, float *best, int64_t frames, int64_t letters, int64_t text)
{
    for (int64_t t = 0; t < frames; t++) {
        float *to = best + t * text;
        const float *from = to - text;
        OP_EACH(i, t + 1 < letters ? t + 1 : letters)
        {
            float stay = t && i < t ? from[i] : 0, go = t && i ? from[i - 1] : 0;
            float before = i == 0 ? stay : i == t ? go : stay > go ? stay : go;
            to[i] = before + logp[t * text + i];
        }
        op_sync();
    }
}

static void follow(const float *best, int32_t *path, int64_t frames, int64_t letters, int64_t time,
                   int64_t text)
{
    int64_t i = frames < letters ? frames - 1 : letters - 1;
    for (int64_t t = time - 1; t >= 0; t--) {
        if (t >= frames || letters == 0) {
            path[t] = 0;
            continue;
        }
        path[t] = (int32_t)i;
        const float *from = best + (t - 1) * text;
        if (t && i && (i == t || from[i - 1] > from[i]))
            i--;
    }
}

void best_path(const float *logp, const int32_t *frames, const int32_t *letters, int32_t *path,
               float *best, int64_t batch, int64_t time, int64_t text)
{
    for (int64_t b = 0; b < batch; b++) {
        int64_t t = at_most(frames[b], time), n = at_most(letters[b], text), at = b * time * text;
        search(logp + at, best + at, t, n, text);
        if (op_lane() == 0)
            follow(best + at, path + b * time, t, n, time, text);
        op_sync();
    }
}
