#include "core/config_private.h"

#include <grp.h>
#include <string.h>

#include "layers/redis.h"
#include "layers/redis_alias.h"

/*
 * The characters of a language we do not know: <ctype.h> asks the host's
 * locale, and a configuration must mean the same in all of them.
 */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' ||
	       c == '_' || c == '-';
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit time_units[] = {
	{ "", INT64_C(1000000000) },	 { "ms", INT64_C(1000000) },
	{ "s", INT64_C(1000000000) },	 { "m", INT64_C(60000000000) },
	{ "h", INT64_C(3600000000000) }, { NULL, 0 },
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "K", INT64_C(1) << 10 },
	{ "M", INT64_C(1) << 20 },
	{ "G", INT64_C(1) << 30 },
	{ NULL, 0 },
};

static const char *parse_number(const struct config_entry *entry, const struct unit *unit,
				const char *value, int64_t *ret_number)
{
	bool is_time = entry->type == CONFIG_TYPE_TIME;
	bool overflow = false;
	int64_t number = 0;
	const char *c = value;

	for (; is_digit(*c); c++) {
		overflow |= __builtin_mul_overflow(number, 10, &number);
		overflow |= __builtin_add_overflow(number, *c - '0', &number);
	}
	if (c > value && (*c == '.' || *c == ',') && is_digit(c[1])) {
		return "not a whole number";
	}
	while (unit->name && strcmp(unit->name, c) != 0) {
		unit++;
	}
	if (c == value || !unit->name) {
		return is_time ? "not a time" : "not a number";
	}
	overflow |= __builtin_mul_overflow(number, unit->factor, &number);
	if (overflow || number > entry->max) {
		return "too large";
	}
	if (number < entry->min) {
		return "too small";
	}
	*ret_number = number;
	return NULL;
}

/* The place of the n bytes at `word` among words separated by "|", or -1. */
static int place_of(const char *words, const char *word, size_t n)
{
	for (int place = 0;; place++) {
		size_t n_here = strcspn(words, "|");

		if (n_here == n && memcmp(words, word, n) == 0) {
			return place;
		}
		if (words[n_here] == '\0') {
			return -1;
		}
		words += n_here + 1;
	}
}

static const char *parse_layers(const char *value, unsigned *ret_layers)
{
	unsigned layers = 0;

	for (const char *c = value;; c++) {
		size_t n;
		int place;

		while (is_blank(*c)) {
			c++;
		}
		n = strcspn(c, ", \t");
		place = place_of("memory|memcached|redis", c, n);
		if (place < 0) {
			return n ? "names a layer that there is not" : "lacks the name of a layer";
		}
		if (layers & (1U << place)) {
			return "names a layer twice";
		}
		if (layers >> place) {
			return "not in the order of the walk";
		}
		layers |= 1U << place;
		for (c += n; is_blank(*c);) {
			c++;
		}
		if (*c == '\0') {
			break;
		}
		if (*c != ',') {
			return "lacks a comma between layers";
		}
	}
	if (!(layers & CONFIG_LAYER_MEMCACHED)) {
		return "lacks memcached";
	}
	*ret_layers = layers;
	return NULL;
}

static bool all_of(const char *text, bool (*is)(char))
{
	while (*text && is(*text)) {
		text++;
	}
	return *text == '\0';
}

/* memcached's keys end at blanks and control characters; other bytes depend on a locale. */
static bool is_graph(char c)
{
	return c > ' ' && c < 0x7f;
}

/* What a file could not say, or would say differently, is wrong everywhere. */
static const char *check_writable(const char *value, size_t n)
{
	if (n > 0 && (is_blank(value[0]) || is_blank(value[n - 1]))) {
		return "begins or ends with a blank";
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f) {
			return "holds a control character";
		}
		/* Also at the beginning: a blank stands before every value. */
		if (value[i] == ';' && (i == 0 || is_blank(value[i - 1]))) {
			return "holds what a file takes for a comment";
		}
	}
	return NULL;
}

static const char *check_path(const char *value)
{
	return value[0] == '\0' || value[0] == '/' ? NULL : "not an absolute path";
}

gid_t config_group(const char *name)
{
	char buffer[4096];
	struct group group;
	struct group *found = NULL;

	if (name[0] == '\0' || getgrnam_r(name, &group, buffer, sizeof(buffer), &found) != 0 ||
	    found == NULL) {
		return CONFIG_NO_GROUP;
	}
	return found->gr_gid;
}

static const char *check_text(enum config_key key, const char *value)
{
	switch (key) {
	case CONFIG_KEY_tower_name:
		/* Becomes part of a file's name. */
		if (!all_of(value, is_name)) {
			return "holds another character";
		}
		return strcmp(value, ".") == 0 || strcmp(value, "..") == 0 ? "not a name" : NULL;
	case CONFIG_KEY_tower_log:
		if (strcmp(value, "stderr") == 0 || strcmp(value, "syslog") == 0) {
			return NULL;
		}
		return check_path(value) ? "not a place for a log" : NULL;
	case CONFIG_KEY_memcached_namespace:
	case CONFIG_KEY_redis_namespace:
		return all_of(value, is_graph) ? NULL : "holds another character";
	case CONFIG_KEY_redis_url:
		return redis_url_check(value);
	case CONFIG_KEY_redis_alias:
		return redis_alias_check(value);
	case CONFIG_KEY_redis_replicas:
		return redis_replicas_check(value);
	case CONFIG_KEY_redis_password_file:
	case CONFIG_KEY_coherence_path:
	case CONFIG_KEY_stats_path:
	case CONFIG_KEY_trace_path:
		return check_path(value);
	case CONFIG_KEY_coherence_group:
		return value[0] == '\0' || config_group(value) != CONFIG_NO_GROUP ? NULL
										  : "no such group";
	default:
		return NULL;
	}
}

static const char *parse_text(const struct config_entry *entry, enum config_key key,
			      const char *value, char *ret_text)
{
	size_t n = strlen(value);
	const char *problem;

	if (n < (size_t)entry->min) {
		return n == 0 ? "empty" : "too short";
	}
	if (n > (size_t)entry->max || n >= CONFIG_TEXT_MAX) {
		return "too long";
	}
	problem = check_writable(value, n);
	if (!problem) {
		problem = check_text(key, value);
	}
	if (!problem) {
		memcpy(ret_text, value, n + 1);
	}
	return problem;
}

const char *config_parse(struct config *config, enum config_key key, const char *value)
{
	const struct config_entry *entry = &config_entries[key];
	void *field = (char *)config + entry->offset;
	const char *problem;
	int64_t number;
	int place;

	switch (entry->type) {
	case CONFIG_TYPE_TEXT:
		return parse_text(entry, key, value, field);
	case CONFIG_TYPE_BYTES:
	case CONFIG_TYPE_COUNT:
		problem = parse_number(entry, size_units, value, &number);
		if (!problem) {
			*(uint64_t *)field = (uint64_t)number;
		}
		return problem;
	case CONFIG_TYPE_TIME:
		problem = parse_number(entry, time_units, value, &number);
		if (problem) {
			return problem;
		}
		/* memcached counts expiries in seconds. */
		if (key == CONFIG_KEY_memcached_ttl && number % INT64_C(1000000000) != 0) {
			return "not whole seconds";
		}
		*(int64_t *)field = number;
		return NULL;
	case CONFIG_TYPE_CHOICE:
		place = place_of(entry->allowed, value, strlen(value));
		if (place < 0) {
			return "not one of the words";
		}
		*(unsigned *)field = (unsigned)place;
		return NULL;
	case CONFIG_TYPE_LAYERS:
		return parse_layers(value, field);
	}
	return "of no known type";
}
