// The channels of a pipeline: what goes from a rank to the next with forward and back with
// backward. Messages of one channel come in order, those of different ones do not wait for each
// other. A device that has messages under way beside its kernels (flavour gpu) has room for a
// micro-batch of each channel, in the memory of links.
#ifndef NMRT_CHANNELS_H
#define NMRT_CHANNELS_H

#include "runtime/engine.h"
#include "runtime/setup.h"

enum { NMRT_TAG_FORWARD = 1, NMRT_TAG_BACKWARD = 2 };
enum { NMRT_CHANNELS = 4 }; // that a rank has at most

int nmrt_world_rank(const nmrt_setup *s, int pp); // of the rank of this one's column on stage `pp`
// Those of a rank on stage `pp`, in an order that is the same on all; without their room. Returns
// how many.
int nmrt_channels_find(const nmrt_setup *s, int pp, nmrt_channel channel[NMRT_CHANNELS]);
// The room of all of them, at the beginning of the links: those of training and of evaluation are
// the same, as a message of the one may still be under way when the other begins. 0: flavour host.
int64_t nmrt_channels_bytes(const nmrt_setup *s, int pp);
// This rank's, on the engine's device; every rank does it once, before its first message.
nmrt_status nmrt_channels_open(const nmrt_setup *s, const nmrt_engine *en, nmrt_error *e);

#endif
