#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "core/config_private.h"

struct scale {
	int64_t factor;
	const char *unit;
};

/* From large to small.  No text gives nanoseconds; a program that sets the field may. */
static const struct scale time_scales[] = {
	{ INT64_C(3600000000000), "h" },
	{ INT64_C(60000000000), "m" },
	{ INT64_C(1000000000), "s" },
	{ INT64_C(1000000), "ms" },
	{ 1, "ns" },
};
static const struct scale size_scales[] = {
	{ INT64_C(1) << 30, "G" },
	{ INT64_C(1) << 20, "M" },
	{ INT64_C(1) << 10, "K" },
	{ 1, "" },
};

static void format_number(enum config_type type, int64_t number, char *ret_text, size_t n)
{
	const struct scale *scale = type == CONFIG_TYPE_TIME ? time_scales : size_scales;

	if (number == 0 || type == CONFIG_TYPE_COUNT) {
		snprintf(ret_text, n, "%" PRId64, number);
		return;
	}
	while (number % scale->factor != 0) {
		scale++;
	}
	snprintf(ret_text, n, "%" PRId64 "%s", number / scale->factor, scale->unit);
}

static void format_layers(unsigned layers, char *ret_text, size_t n)
{
	snprintf(ret_text, n, "%smemcached%s", layers & CONFIG_LAYER_MEMORY ? "memory, " : "",
		 layers & CONFIG_LAYER_REDIS ? ", redis" : "");
}

void config_format(const struct config *config, enum config_key key, char *ret_text, size_t n)
{
	const struct config_entry *entry = &config_entries[key];
	const void *field = (const char *)config + entry->offset;
	const char *word;

	switch (entry->type) {
	case CONFIG_TYPE_TEXT:
		snprintf(ret_text, n, "%s", (const char *)field);
		break;
	case CONFIG_TYPE_BYTES:
	case CONFIG_TYPE_COUNT:
		format_number(entry->type, (int64_t) * (const uint64_t *)field, ret_text, n);
		break;
	case CONFIG_TYPE_TIME:
		format_number(entry->type, *(const int64_t *)field, ret_text, n);
		break;
	case CONFIG_TYPE_CHOICE:
		word = entry->allowed;
		for (unsigned place = *(const unsigned *)field; place > 0; place--) {
			word += strcspn(word, "|") + 1;
		}
		snprintf(ret_text, n, "%.*s", (int)strcspn(word, "|"), word);
		break;
	case CONFIG_TYPE_LAYERS:
		format_layers(*(const unsigned *)field, ret_text, n);
		break;
	}
}

static void allowed_number(const struct config_entry *entry, char *ret_text, size_t n)
{
	const char *what = entry->allowed;
	char min[32];
	char max[32];

	if (!what && entry->type == CONFIG_TYPE_TIME) {
		what = "a whole number of seconds, or one with ms, s, m or h";
	} else if (!what) {
		what = "a whole number, or one with K, M or G";
	}
	format_number(entry->type, entry->min, min, sizeof(min));
	if (entry->max == INT64_MAX) {
		snprintf(ret_text, n, "%s, from %s", what, min);
	} else {
		format_number(entry->type, entry->max, max, sizeof(max));
		snprintf(ret_text, n, "%s, from %s to %s", what, min, max);
	}
}

void config_allowed(enum config_key key, char *ret_text, size_t n)
{
	const struct config_entry *entry = &config_entries[key];
	size_t used = 0;

	switch (entry->type) {
	case CONFIG_TYPE_TEXT:
		snprintf(ret_text, n, "%s; %" PRId64 " to %" PRId64 " bytes", entry->allowed,
			 entry->min, entry->max);
		break;
	case CONFIG_TYPE_BYTES:
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_TIME:
		allowed_number(entry, ret_text, n);
		break;
	case CONFIG_TYPE_CHOICE:
		for (const char *c = entry->allowed; *c && used + 3 < n; c++) {
			ret_text[used++] = *c == '|' ? ',' : *c;
			if (*c == '|') {
				ret_text[used++] = ' ';
			}
		}
		ret_text[used] = '\0';
		break;
	case CONFIG_TYPE_LAYERS:
		snprintf(ret_text, n, "%s", entry->allowed);
		break;
	}
}

void config_list(const char *section, char *ret_list, size_t n)
{
	const char *last = "";
	size_t used = 0;

	ret_list[0] = '\0';
	for (unsigned i = 0; i < CONFIG_N_KEYS && used < n; i++) {
		const struct config_entry *entry = &config_entries[i];
		const char *name = section ? entry->key : entry->section;

		if (section ? strcmp(section, entry->section) != 0 : strcmp(last, name) == 0) {
			continue;
		}
		used += (size_t)snprintf(ret_list + used, n - used, section ? "%s%s" : "%s[%s]",
					 used ? ", " : "", name);
		last = name;
	}
}

/*
 * Which bytes of a value are a password.  Right for wrong urls, too, as far
 * as one can guess: an error must not tell what a right url would not.
 */
static bool find_password(const char *value, size_t *ret_from, size_t *ret_to)
{
	const char *scheme = strstr(value, "://");
	const char *start = scheme ? scheme + 3 : value;
	bool is_path = scheme ? *start == '/' && strncmp(value, "unix", 4) == 0 : *value == '/';
	const char *at = is_path ? NULL : strrchr(start, '@');
	const char *colon = is_path ? NULL : strchr(start, ':');
	const char *query = strstr(start, "password=");

	if (at && (scheme || colon)) {
		*ret_from = (size_t)((colon && colon < at ? colon + 1 : start) - value);
		*ret_to = (size_t)(at - value);
		return true;
	}
	if (query) {
		*ret_from = (size_t)(query - value) + strlen("password=");
		*ret_to = strlen(value);
		return true;
	}
	/* "redis://:secret/0": what stands in the place of a port and is none. */
	if (!scheme || !colon || *start == '[') {
		return false;
	}
	*ret_from = (size_t)(colon + 1 - value);
	*ret_to = *ret_from + strcspn(colon + 1, "/?");
	return *ret_from + strspn(colon + 1, "0123456789") < *ret_to;
}

void config_show(const char *value, char *ret_text, size_t n)
{
	size_t from = 0;
	size_t to = 0;
	bool secret = find_password(value, &from, &to);
	int used;

	if (secret) {
		used = snprintf(ret_text, n, "%.*s***%s", (int)from, value, value + to);
	} else {
		used = snprintf(ret_text, n, "%s", value);
	}
	if (used >= (int)n) {
		memcpy(ret_text + n - sizeof("..."), "...", sizeof("..."));
	}
	for (char *c = ret_text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			*c = '?';
		}
	}
}

void config_describe(const struct config *config, enum config_key key, char *ret_text, size_t n)
{
	const struct config_entry *entry = &config_entries[key];
	char value[CONFIG_TEXT_MAX];
	char shown[CONFIG_TEXT_MAX];

	config_format(config, key, value, sizeof(value));
	config_show(value, shown, sizeof(shown));
	snprintf(ret_text, n, "%s.%s=%s", entry->section, entry->key, shown);
}

static void print_source(const struct config *config, enum config_key key, FILE *out)
{
	char shown[CONFIG_TEXT_MAX];
	char name[64];

	switch (config->source[key]) {
	case CONFIG_FROM_DEFAULT:
		fputs("# default\n", out);
		break;
	case CONFIG_FROM_FILE:
		config_show(config->file, shown, sizeof(shown));
		fprintf(out, "# %s:%u\n", shown, config->line[key]);
		break;
	case CONFIG_FROM_ENVIRONMENT:
		config_environment_name(key, name);
		fprintf(out, "# %s\n", name);
		break;
	case CONFIG_FROM_OPTION:
		fputs("# -o\n", out);
		break;
	}
}

static bool is_key_variable(const char *name)
{
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		char of_key[64];

		config_environment_name((enum config_key)key, of_key);
		if (strcmp(of_key, name) == 0) {
			return true;
		}
	}
	return false;
}

static void print_unknown_variables(FILE *out)
{
	const char *variable;

	for (size_t i = 0; (variable = env_at(i)) != NULL; i++) {
		char name[128];
		char shown[CONFIG_SHOWN_MAX];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
		if (!config_known_variable(name + strlen("TOWER_")) && !is_key_variable(name)) {
			config_show(name, shown, sizeof(shown));
			fprintf(out, "# %s: unknown, ignored\n", shown);
		}
	}
	if (env_dropped() > 0) {
		fprintf(out, "# %zu more TOWER_ variables did not fit, ignored\n", env_dropped());
	}
}

/* The section's heading where a new one begins. */
static void print_section(unsigned key, FILE *out)
{
	const char *section = config_entries[key].section;

	if (key == 0 || strcmp(section, config_entries[key - 1].section) != 0) {
		fprintf(out, "\n[%s]\n", section);
	}
}

/* What the budgets come to. */
static void print_budget(const struct config *config, FILE *out)
{
	uint64_t host = config->memory_host_max_bytes;
	char own[32];
	char all[32];

	if (!(config->tower_layers & CONFIG_LAYER_MEMORY)) {
		return;
	}
	format_number(CONFIG_TYPE_BYTES, (int64_t)config->memory_max_bytes, own, sizeof(own));
	if (host == 0) {
		fprintf(out, "# memory: %s in each process, without a limit for all together\n",
			own);
		return;
	}
	format_number(CONFIG_TYPE_BYTES, (int64_t)host, all, sizeof(all));
	if (host < config->memory_max_bytes) {
		fprintf(out, "# memory: %s shared by all processes\n", all);
		return;
	}
	fprintf(out, "# memory: %s in each of up to %" PRIu64 " processes, %s shared by more\n",
		own, host / config->memory_max_bytes, all);
}

void config_print(const struct config *config, FILE *out)
{
	char value[CONFIG_TEXT_MAX];
	char shown[CONFIG_TEXT_MAX];

	config_show(config->file, shown, sizeof(shown));
	if (config->disabled) {
		fputs("# TOWER_DISABLE=1: tower is off in programs with this environment\n", out);
	}
	fprintf(out, "# file: %s\n", shown[0] ? shown : "none");
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		enum config_key key = (enum config_key)i;

		print_section(i, out);
		print_source(config, key, out);
		config_format(config, key, value, sizeof(value));
		if (key == CONFIG_KEY_redis_url) {
			config_show(value, shown, sizeof(shown));
		}
		fprintf(out, "%s =%s%s\n", config_entries[i].key, value[0] ? " " : "",
			key == CONFIG_KEY_redis_url ? shown : value);
	}
	fputc('\n', out);
	print_budget(config, out);
	print_unknown_variables(out);
}

void config_print_example(FILE *out)
{
	char allowed[CONFIG_ALLOWED_MAX];

	fputs("# tower.ini - generated by `tower check-config --example`.\n"
	      "# Every key is here, commented out, with its default.\n",
	      out);
	for (unsigned i = 0; i < CONFIG_N_KEYS; i++) {
		const struct config_entry *entry = &config_entries[i];

		print_section(i, out);
		config_allowed((enum config_key)i, allowed, sizeof(allowed));
		fprintf(out, "\n# %s\n# allowed: %s\n", entry->help, allowed);
		fprintf(out, "#%s =%s%s\n", entry->key, entry->def[0] ? " " : "", entry->def);
	}
}
