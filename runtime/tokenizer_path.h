// Which tokenizer reads a run's texts.
#ifndef NMRT_TOKENIZER_PATH_H
#define NMRT_TOKENIZER_PATH_H

#include "runtime/file.h"
#include "runtime/options.h"

// What --tokenizer says, else the one beside the weights that the verb begins with, in `room`, else
// NULL: bytes are the tokens.
const char *nmrt_tokenizer_path(const nmrt_options *o, char room[NMRT_PATH]);

#endif
