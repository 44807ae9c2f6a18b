/*
 * domain.h - the memory in which the processes of a domain meet: the table of
 * slots, and behind it (slots_extra()) what Redis needs of them and what the walk
 * has seen, and (slots_lazy()) what spares Redis.
 */
#ifndef TOWER_CORE_DOMAIN_H
#define TOWER_CORE_DOMAIN_H

#include <stddef.h>

#include "core/config.h"
#include "core/slots.h"

/* How much lies behind the table, and where in it struct tower_seen. */
size_t domain_extra_bytes(void);
size_t domain_seen_offset(void);

/*
 * Where the configuration has the table, and how large; every process of the domain
 * must agree.  `path` (CONFIG_TEXT_MAX bytes) is borrowed by *ret.  With
 * coherence.mode none the table is private: ret->path is NULL.
 */
void domain_table(const struct config *config, char *path, struct slots_options *ret);

#endif
