// Lists of names: see list.h.
#include "base/list.h"

#include <string.h>

static nm_item item_at(const char *at) { return (nm_item){at, strcspn(at, ",")}; }

nm_item nm_list_first(const char *list)
{
    return list && *list ? item_at(list) : (nm_item){NULL, 0};
}

nm_item nm_list_next(nm_item item)
{
    const char *end = item.at + item.n;
    return *end ? item_at(end + 1) : (nm_item){NULL, 0};
}

bool nm_item_is(nm_item item, const char *name)
{
    return strlen(name) == item.n && !strncmp(item.at, name, item.n);
}

bool nm_list_has(const char *list, const char *name)
{
    nm_each_item(item, list)
        if (nm_item_is(item, name))
            return true;
    return false;
}

int nm_item_find(nm_item item, size_t n, const char *const *names)
{
    for (size_t i = 0; i < n; i++)
        if (nm_item_is(item, names[i]))
            return (int)i;
    return -1;
}

int nm_name_find(const char *name, size_t n, const char *const *names)
{
    return nm_item_find((nm_item){name, strlen(name)}, n, names);
}
