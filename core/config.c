#include "core/config.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "core/config_private.h"

const struct config_entry config_entries[CONFIG_N_KEYS] = {
#define KEY(section, key, type, def, min, max, allowed, help)                                      \
	{ #section,                                                                                \
	  #key,                                                                                    \
	  CONFIG_TYPE_##type,                                                                      \
	  offsetof(struct config, section##_##key),                                                \
	  def,                                                                                     \
	  min,                                                                                     \
	  max,                                                                                     \
	  allowed,                                                                                 \
	  help },
#include "core/config.def"
#undef KEY
};

bool config_known_variable(const char *name)
{
	return strcmp(name, "CONFIG") == 0 || strcmp(name, "DISABLE") == 0 ||
	       strcmp(name, "LIBRARY") == 0;
}

void config_environment_name(enum config_key key, char *ret_name)
{
	const struct config_entry *entry = &config_entries[key];

	if (strcmp(entry->section, "tower") == 0) {
		snprintf(ret_name, 64, "TOWER_%s", entry->key);
	} else {
		snprintf(ret_name, 64, "TOWER_%s_%s", entry->section, entry->key);
	}
	for (char *c = ret_name; *c; c++) {
		if (*c >= 'a' && *c <= 'z') {
			*c = (char)(*c - 'a' + 'A');
		}
	}
}

enum config_key config_find(const char *name)
{
	size_t n_section = strcspn(name, ".=");
	const char *rest = name + n_section + 1;
	size_t n_key;

	if (name[n_section] != '.') {
		return CONFIG_N_KEYS;
	}
	n_key = strcspn(rest, "=");
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		const struct config_entry *entry = &config_entries[key];

		if (strlen(entry->section) == n_section && strlen(entry->key) == n_key &&
		    memcmp(entry->section, name, n_section) == 0 &&
		    memcmp(entry->key, rest, n_key) == 0) {
			return (enum config_key)key;
		}
	}
	return CONFIG_N_KEYS;
}

enum config_status config_set(struct config *config, enum config_key key, const char *value,
			      enum config_source source, const char *where, char *ret_why)
{
	const char *problem = config_parse(config, key, value);
	char shown[CONFIG_SHOWN_MAX];
	char allowed[CONFIG_ALLOWED_MAX];

	if (!problem) {
		config->source[key] = source;
		return CONFIG_OK;
	}
	config_show(value, shown, sizeof(shown));
	config_allowed(key, allowed, sizeof(allowed));
	snprintf(ret_why, CONFIG_WHY_MAX, "%s = \"%s\": %s; allowed: %s", where, shown, problem,
		 allowed);
	return CONFIG_BAD;
}

static enum config_status read_switch(bool *ret_disabled, char *ret_why)
{
	const char *value = env_get("DISABLE");
	char shown[CONFIG_SHOWN_MAX];

	if (!value || value[0] == '\0' || strcmp(value, "0") == 0) {
		*ret_disabled = false;
		return CONFIG_OK;
	}
	if (strcmp(value, "1") == 0) {
		*ret_disabled = true;
		return CONFIG_OK;
	}
	config_show(value, shown, sizeof(shown));
	snprintf(ret_why, CONFIG_WHY_MAX,
		 "TOWER_DISABLE = \"%s\": not a switch; allowed: 1 (off), 0 or nothing", shown);
	return CONFIG_BAD;
}

static void set_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	/* That the defaults are right is a matter of tests/unit/test_config.c. */
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		config_parse(config, (enum config_key)key, config_entries[key].def);
	}
}

static enum config_status read_files(struct config *config, const char *file, char *ret_why)
{
	const char *named = env_get("CONFIG");
	char shown[CONFIG_SHOWN_MAX];
	char where[CONFIG_WHERE_MAX];

	if (file) {
		config_show(file, shown, sizeof(shown));
		return config_read_file(config, file, true, shown, ret_why);
	}
	if (named) {
		config_show(named, shown, sizeof(shown));
		snprintf(where, sizeof(where), "TOWER_CONFIG = \"%s\"", shown);
		return config_read_file(config, named, true, where, ret_why);
	}
	return config_read_file(config, CONFIG_FILE_DEFAULT, false, CONFIG_FILE_DEFAULT, ret_why);
}

static enum config_status read_environment(struct config *config, char *ret_why)
{
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		enum config_key key = (enum config_key)i;
		enum config_status status;
		const char *value;
		char name[64];

		config_environment_name(key, name);
		value = env_get(name + strlen("TOWER_"));
		if (!value) {
			continue;
		}
		status = config_set(config, key, value, CONFIG_FROM_ENVIRONMENT, name, ret_why);
		if (status != CONFIG_OK) {
			return status;
		}
	}
	return CONFIG_OK;
}

static enum config_status load(struct config *config, const char *file, bool all, char *ret_why)
{
	enum config_status status;
	bool disabled;

	status = read_switch(&disabled, ret_why);
	if (status != CONFIG_OK) {
		return status;
	}
	set_defaults(config);
	config->disabled = disabled;
	if (disabled && !all) {
		return CONFIG_OK;
	}
	status = read_files(config, file, ret_why);
	return status == CONFIG_OK ? read_environment(config, ret_why) : status;
}

static enum config_status load_aside(struct config *ret_config, const char *file, bool all,
				     char *ret_why)
{
	/* Too large for a small stack. */
	struct config *config = malloc(sizeof(*config));
	enum config_status status;

	if (config == NULL) {
		snprintf(ret_why, CONFIG_WHY_MAX, "out of memory");
		return CONFIG_BAD;
	}
	status = load(config, file, all, ret_why);
	if (status == CONFIG_OK) {
		*ret_config = *config;
	}
	free(config);
	return status;
}

enum config_status config_load(struct config *ret_config, const char *file, char *ret_why)
{
	return load_aside(ret_config, file, false, ret_why);
}

enum config_status config_inspect(struct config *ret_config, const char *file, char *ret_why)
{
	return load_aside(ret_config, file, true, ret_why);
}

static void refuse_option(const char *option, enum config_key key, char *ret_why)
{
	char section[64];
	char name[64];
	char shown[CONFIG_SHOWN_MAX];
	char list[512];

	/* Not what follows the name: it may be a password. */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(option, "="), option);
	config_show(name, shown, sizeof(shown));
	if (key != CONFIG_N_KEYS) {
		snprintf(ret_why, CONFIG_WHY_MAX, "-o %s: no value; allowed: -o %s=value", shown,
			 shown);
		return;
	}
	snprintf(section, sizeof(section), "%.*s", (int)strcspn(name, "."), name);
	config_list(section, list, sizeof(list));
	if (list[0]) {
		snprintf(ret_why, CONFIG_WHY_MAX, "-o %s: no such key; allowed in [%s]: %s", shown,
			 section, list);
		return;
	}
	config_list(NULL, list, sizeof(list));
	snprintf(ret_why, CONFIG_WHY_MAX,
		 "-o %s: no such key; allowed: section.key=value, where sections are %s", shown,
		 list);
}

enum config_status config_option(struct config *config, const char *option, char *ret_why)
{
	enum config_key key = config_find(option);
	size_t n_name = strcspn(option, "=");
	char where[80];

	if (key == CONFIG_N_KEYS || option[n_name] != '=') {
		refuse_option(option, key, ret_why);
		return CONFIG_BAD;
	}
	snprintf(where, sizeof(where), "-o %.*s", (int)n_name, option);
	return config_set(config, key, option + n_name + 1, CONFIG_FROM_OPTION, where, ret_why);
}

void config_slots_path(const struct config *config, char *ret_path, size_t n)
{
	gid_t group = config_group(config->coherence_group);

	if (config->coherence_path[0]) {
		snprintf(ret_path, n, "%s", config->coherence_path);
	} else if (group != CONFIG_NO_GROUP) {
		snprintf(ret_path, n, "/dev/shm/tower-g%u-%s", (unsigned)group, config->tower_name);
	} else {
		snprintf(ret_path, n, "/dev/shm/tower-%u-%s", (unsigned)geteuid(),
			 config->tower_name);
	}
}

void config_stats_path(const struct config *config, char *ret_path, size_t n)
{
	if (config->stats_path[0]) {
		snprintf(ret_path, n, "%s", config->stats_path);
	} else {
		snprintf(ret_path, n, "/dev/shm/tower-stats-%u-%s", (unsigned)geteuid(),
			 config->tower_name);
	}
}
