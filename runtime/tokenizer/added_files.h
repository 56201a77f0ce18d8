// Added tokens of a tokenizer that has no tokenizer.json, as transformers finds them: those of
// tokenizer_config.json's added_tokens_decoder, or else of added_tokens.json, by their ids; then
// what has a name (bos_token, ...) or is in a list of further ones. special_tokens_map.json goes
// before tokenizer_config.json, but counts only where there is no added_tokens_decoder.
#ifndef NMRT_TOKENIZER_ADDED_FILES_H
#define NMRT_TOKENIZER_ADDED_FILES_H

#include "runtime/file.h"
#include "runtime/json.h"

typedef struct nmrt_json_file { // an object; zero-initialised: closed
    nmrt_map map;
    nm_json doc;
} nmrt_json_file;

// folder/name; an empty object where it is not there. Close it in any case.
nmrt_status nmrt_json_file_open(nmrt_json_file *f, const char *folder, const char *name,
                                nmrt_error *e);
void nmrt_json_file_close(nmrt_json_file *f);

// Appends the elements of the list added_tokens of a tokenizer.json. `config` is the folder's
// tokenizer_config.json.
nmrt_status nmrt_added_files_print(const char *folder, const nm_json *config, nmrt_text *out,
                                   nmrt_error *e);

#endif
