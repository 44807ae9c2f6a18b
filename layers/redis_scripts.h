/*
 * redis_scripts.h - the Lua scripts of layer "redis", by name (redis_scripts.def).
 *
 * A connection loads them when it is made and calls them by the names that
 * Redis answered.  One that hears NOSCRIPT (somebody has run SCRIPT FLUSH)
 * loads them anew before its next use; what was called then is lost, which
 * costs deep copies, never more.
 */
#ifndef TOWER_LAYERS_REDIS_SCRIPTS_H
#define TOWER_LAYERS_REDIS_SCRIPTS_H

#include <stdbool.h>

#include "layers/redis_wire.h"

enum redis_script {
#define SCRIPT(name, lua) REDIS_SCRIPT_##name,
#include "layers/redis_scripts.def"
#undef SCRIPT
	REDIS_N_SCRIPTS
};

#define REDIS_SCRIPT_NAME 40

struct redis_scripts {
	char names[REDIS_N_SCRIPTS][REDIS_SCRIPT_NAME + 1];
};

/* Builds the commands that load them: REDIS_N_SCRIPTS of the next exchange. */
void redis_scripts_load(struct redis_wire *wire);

/* The same of one, before a call that must not be lost. */
void redis_scripts_load_one(struct redis_wire *wire, enum redis_script script);

/* Takes the answer to one of those; false where it is none. */
bool redis_scripts_take(struct redis_scripts *scripts, enum redis_script script,
			const struct redis_wire_reply *reply);

/* Begins a call: the keys and then so many arguments are to be added. */
void redis_scripts_call(struct redis_wire *wire, const struct redis_scripts *scripts,
			enum redis_script script, unsigned n_keys, unsigned n_args);

#endif
