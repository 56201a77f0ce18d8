// Lists of names as options have them: a,b,c. Nothing is copied: a name in a list does not end
// with a 0.
#ifndef NM_BASE_LIST_H
#define NM_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nm_item { // a name of a list
    const char *at;      // NULL: there is none
    size_t n;            // 0: it was left out, as the second of a,,b and of a,
} nm_item;

nm_item nm_list_first(const char *list); // NULL and "" have no names
nm_item nm_list_next(nm_item item);

#define nm_each_item(item, list)                                                                   \
    for (nm_item item = nm_list_first(list); item.at; item = nm_list_next(item))

bool nm_item_is(nm_item item, const char *name);
bool nm_list_has(const char *list, const char *name);
// Its place among the names; -1: it is none of them.
int nm_item_find(nm_item item, size_t n, const char *const *names);
int nm_name_find(const char *name, size_t n, const char *const *names);

#endif
