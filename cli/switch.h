/*
 * switch.h - what is switched off in a domain, for commands that say so.
 */
#ifndef TOWER_CLI_SWITCH_H
#define TOWER_CLI_SWITCH_H

#include "core/config.h"

#include "core/slots.h"

/*
 * The domain's table; `path` has CONFIG_TEXT_MAX bytes and is borrowed by *ret.  False where
 * its processes share none.
 */
bool switch_table(const struct config *config, char *path, struct slots_options *ret);

/* As slots_off(); 0 where there is no table, or none that is shared. */
unsigned switch_read(const struct config *config);

/* The same as a phrase; static. */
const char *switch_text(unsigned off);

#endif
