#include "measure/candidate.h"

#include <stdio.h>
#include <string.h>

const char candidate_names[] = "plain, memory+memcached, memory+memcached+redis, memcached+redis";

static const struct built_in {
	const char *name;
	unsigned layers;
} built_ins[] = {
	{ "plain", 0 },
	{ "memory+memcached", CONFIG_LAYER_MEMORY | CONFIG_LAYER_MEMCACHED },
	{ "memory+memcached+redis",
	  CONFIG_LAYER_MEMORY | CONFIG_LAYER_MEMCACHED | CONFIG_LAYER_REDIS },
	{ "memcached+redis", CONFIG_LAYER_MEMCACHED | CONFIG_LAYER_REDIS },
};

static void set_layers(struct candidate *candidate, const char *layers)
{
	char option[64];
	char why[CONFIG_WHY_MAX];

	snprintf(option, sizeof(option), "tower.layers=%s", layers);
	config_option(&candidate->config, option, why);
}

bool candidate_named(const char *name, const struct config *config, struct candidate *ret)
{
	for (size_t i = 0; i < sizeof(built_ins) / sizeof(built_ins[0]); i++) {
		unsigned layers = built_ins[i].layers;

		if (strcmp(built_ins[i].name, name) != 0) {
			continue;
		}
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		ret->plain = layers == 0;
		ret->config = *config;
		set_layers(ret, layers & CONFIG_LAYER_REDIS ? layers & CONFIG_LAYER_MEMORY
								      ? "memory,memcached,redis"
								      : "memcached,redis"
							    : "memory,memcached");
		return true;
	}
	return false;
}

/* The comma behind which the next setting begins, or the end. */
static const char *setting_end(const char *text)
{
	for (const char *comma = strchr(text, ','); comma; comma = strchr(comma + 1, ',')) {
		size_t n = strcspn(comma + 1, "=,");

		if (comma[1 + n] == '=' && memchr(comma + 1, '.', n)) {
			return comma;
		}
	}
	return text + strlen(text);
}

static bool is_name(const char *name, size_t n)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789+-_.";

	return n > 0 && n < CANDIDATE_NAME_MAX && strspn(name, allowed) >= n;
}

bool candidate_variant(const char *text, const struct config *config, struct candidate *ret,
		       char *ret_why)
{
	const char *colon = strchr(text, ':');
	const char *end;

	if (!colon || !is_name(text, (size_t)(colon - text)) || !colon[1]) {
		snprintf(ret_why, CANDIDATE_WHY_MAX,
			 "is not NAME:section.key=value,... (NAME: letters, digits, + - _ .)");
		return false;
	}
	candidate_named("memory+memcached", config, ret);
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(colon - text), text);
	for (const char *setting = colon + 1; *setting; setting = *end ? end + 1 : end) {
		char option[CANDIDATE_SETTINGS_MAX];
		char why[CONFIG_WHY_MAX];

		end = setting_end(setting);
		if ((size_t)(end - setting) >= sizeof(option)) {
			snprintf(ret_why, CANDIDATE_WHY_MAX, "has a setting that is too long");
			return false;
		}
		snprintf(option, sizeof(option), "%.*s", (int)(end - setting), setting);
		if (config_option(&ret->config, option, why) != CONFIG_OK) {
			snprintf(ret_why, CANDIDATE_WHY_MAX, "is wrong: %s", why);
			return false;
		}
	}
	return true;
}

bool candidate_has_redis(const struct candidate *candidate)
{
	return !candidate->plain && (candidate->config.tower_layers & CONFIG_LAYER_REDIS);
}

void candidate_describe(const struct candidate *candidate, char *ret_text, size_t n)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (unsigned key = 0; key < CONFIG_N_KEYS && !candidate->plain; key++) {
		char text[CONFIG_TEXT_MAX + 64];

		if (candidate->config.source[key] == CONFIG_FROM_DEFAULT || used >= n) {
			continue;
		}
		config_describe(&candidate->config, (enum config_key)key, text, sizeof(text));
		used += (size_t)snprintf(ret_text + used, n - used, "%s%s", used ? "; " : "", text);
	}
}
