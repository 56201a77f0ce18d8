// Companions: the small files that a foreign model's folder has beside its weights (config.json,
// the tokenizer's files, ...). A run keeps them in SAVE/companions, so that generate, eval and
// export find them where its checkpoints are.
#ifndef NMRT_FOREIGN_COMPANIONS_H
#define NMRT_FOREIGN_COMPANIONS_H

#include "runtime/file.h"

// The folder of the companions that belong to `checkpoint`: a folder of checkpoints, one of them,
// or a foreign model's own folder. False: there is none.
bool nmrt_companions_find(const char *checkpoint, char folder[NMRT_PATH]);
// Likewise the tokenizer among them: what nmrt_tokenizer_open takes.
bool nmrt_companions_tokenizer(const char *checkpoint, char path[NMRT_PATH]);

// What a folder of companions is made of.
typedef struct nmrt_companions {
    const char *from;      // the folder to copy from; NULL: none
    bool imported;         // `from` is a foreign folder, whose tensors are recorded (record.h)
    const char *tokenizer; // a tokenizer.json, a *.model or a folder of them, which takes the place
                           // of the tokenizer in `from`; NULL: none
} nmrt_companions;

// Makes save/companions of these, in one step: it is whole, or as it was. Neither given: nothing
// is done. `from` may be that folder itself.
nmrt_status nmrt_companions_save(const char *save, const nmrt_companions *c, nmrt_error *e);
// Copies those of `from` that an export takes over into `folder`, which exists: all but
// config.json, which the export writes.
nmrt_status nmrt_companions_copy(const char *from, const char *folder, nmrt_error *e);

#endif
