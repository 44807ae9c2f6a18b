#include "layers/redis_scripts.h"

#include <string.h>

static const char *const texts[REDIS_N_SCRIPTS] = {
#define SCRIPT(name, lua) [REDIS_SCRIPT_##name] = (lua),
#include "layers/redis_scripts.def"
#undef SCRIPT
};

void redis_scripts_load_one(struct redis_wire *wire, enum redis_script script)
{
	redis_wire_command(wire, 3);
	redis_wire_text(wire, "SCRIPT");
	redis_wire_text(wire, "LOAD");
	redis_wire_text(wire, texts[script]);
}

void redis_scripts_load(struct redis_wire *wire)
{
	for (unsigned i = 0; i < REDIS_N_SCRIPTS; i++) {
		redis_scripts_load_one(wire, (enum redis_script)i);
	}
}

bool redis_scripts_take(struct redis_scripts *scripts, enum redis_script script,
			const struct redis_wire_reply *reply)
{
	if (reply->type != REDIS_WIRE_STRING || reply->is_element ||
	    reply->n != REDIS_SCRIPT_NAME) {
		return false;
	}
	memcpy(scripts->names[script], reply->bytes, REDIS_SCRIPT_NAME);
	scripts->names[script][REDIS_SCRIPT_NAME] = '\0';
	return true;
}

void redis_scripts_call(struct redis_wire *wire, const struct redis_scripts *scripts,
			enum redis_script script, unsigned n_keys, unsigned n_args)
{
	redis_wire_command(wire, 3 + n_keys + n_args);
	redis_wire_text(wire, "EVALSHA");
	redis_wire_text(wire, scripts->names[script]);
	redis_wire_number(wire, n_keys);
}
