/*
 * switch.h - what is switched off in a domain, for commands that say so.
 */
#ifndef TOWER_CLI_SWITCH_H
#define TOWER_CLI_SWITCH_H

#include "core/config.h"

/* As slots_off(); 0 where there is no table, or none that is shared. */
unsigned switch_read(const struct config *config);

/* The same as a phrase; static. */
const char *switch_text(unsigned off);

#endif
