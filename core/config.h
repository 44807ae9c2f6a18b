/*
 * config.h - what the operator asked for.
 *
 * From four places, the later wins: built-in defaults; one file (TOWER_CONFIG,
 * else /etc/tower.ini where that exists; never a file of the current folder);
 * the environment as base/env.h captured it (TOWER_<SECTION>_<KEY>, keys of
 * [tower] as TOWER_<KEY>); the command line's -o section.key=value.
 * All keys stand in config.def.
 *
 * A configuration is read-only once loaded and may then be used by any thread.
 */
#ifndef TOWER_CORE_CONFIG_H
#define TOWER_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CONFIG_FILE_DEFAULT "/etc/tower.ini"
#define CONFIG_TEXT_MAX 512 /* bytes of a text value, NUL included */
#define CONFIG_WHY_MAX 1024 /* bytes of an error, NUL included */
#define CONFIG_NO_GROUP ((gid_t)-1)
#define CONFIG_FILE_MAX (1 << 20) /* bytes of a file; larger ones are refused */

/* Bits of tower_layers; memcached is always in. */
enum config_layer {
	CONFIG_LAYER_MEMORY = 1 << 0,
	CONFIG_LAYER_MEMCACHED = 1 << 1,
	CONFIG_LAYER_REDIS = 1 << 2,
};

/* Places in the words of CHOICE keys; those of log_level are enum log_level. */
enum config_coherence { CONFIG_COHERENCE_HOST, CONFIG_COHERENCE_NONE };
enum config_promote { CONFIG_PROMOTE_AGAIN, CONFIG_PROMOTE_ALWAYS, CONFIG_PROMOTE_NEVER };
enum config_write { CONFIG_WRITE_COMMIT, CONFIG_WRITE_MARK };
enum config_writers { CONFIG_WRITERS_AUTO, CONFIG_WRITERS_SEVERAL };
enum config_order { CONFIG_ORDER_OVERLAP, CONFIG_ORDER_SERIAL };

enum config_rtld_deepbind { CONFIG_DEEPBIND_CLEAR, CONFIG_DEEPBIND_KEEP };

enum config_source {
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_FILE,
	CONFIG_FROM_ENVIRONMENT,
	CONFIG_FROM_OPTION,
};

/* The keys, numbered in the order of config.def: CONFIG_KEY_memory_ttl, ... */
enum config_key {
#define KEY(section, key, type, def, min, max, allowed, help) CONFIG_KEY_##section##_##key,
#include "core/config.def"
#undef KEY
	CONFIG_N_KEYS
};

typedef char config_text[CONFIG_TEXT_MAX];

struct config {
#define CONFIG_FIELD_TEXT config_text
#define CONFIG_FIELD_BYTES uint64_t
#define CONFIG_FIELD_COUNT uint64_t
#define CONFIG_FIELD_TIME int64_t
#define CONFIG_FIELD_CHOICE unsigned
#define CONFIG_FIELD_LAYERS unsigned
#define KEY(section, key, type, def, min, max, allowed, help) CONFIG_FIELD_##type section##_##key;
#include "core/config.def"
#undef KEY
	bool disabled;	  /* TOWER_DISABLE=1 */
	config_text file; /* that was read, or empty */
	enum config_source source[CONFIG_N_KEYS];
	unsigned line[CONFIG_N_KEYS]; /* in the file, where it came from there */
};

enum config_status {
	CONFIG_OK,
	CONFIG_BAD, /* a wrong key or value, or a file that cannot be read */
};

/*
 * Loads everything but the command line's options.  `file` overrules
 * TOWER_CONFIG where it is not NULL.  On CONFIG_BAD `ret_why` (CONFIG_WHY_MAX
 * bytes) says which file or variable, line, key and value, and what is
 * allowed; *ret_config is then untouched.  Where TOWER_DISABLE=1 nothing else is
 * read: the rest are defaults.
 */
enum config_status config_load(struct config *ret_config, const char *file, char *ret_why);

/* The same, but reads all where TOWER_DISABLE=1, too: for who looks at a domain from outside. */
enum config_status config_inspect(struct config *ret_config, const char *file, char *ret_why);

/*
 * One "section.key=value" of the command line.  *config is untouched where it
 * is wrong; it need not have been loaded to find that out.
 */
enum config_status config_option(struct config *config, const char *option, char *ret_why);

/* The key that "section.key" or "section.key=value" names; CONFIG_N_KEYS where there is none. */
enum config_key config_find(const char *name);

/*
 * The value of a key as it would be written in a file (sizes and times with
 * units).  This is the value itself: redis.url may hold a password.
 */
void config_format(const struct config *config, enum config_key key, char *ret_text, size_t n);

/* "section.key=value" as people may see it: a password in redis.url is replaced by ***. */
void config_describe(const struct config *config, enum config_key key, char *ret_text, size_t n);

/* The environment's name of a key ("TOWER_MEMORY_TTL"); `ret_name` has 64 bytes. */
void config_environment_name(enum config_key key, char *ret_name);

/*
 * What check-config prints: every key, its value, where it came from; unknown
 * TOWER_ variables.  A password in redis.url is replaced by ***.
 */
void config_print(const struct config *config, FILE *out);

/* tower.ini.example: every key commented out at its default, with its help. */
void config_print_example(FILE *out);

/* The group of that name, or CONFIG_NO_GROUP. */
gid_t config_group(const char *name);

/* Where the table of slots lies: coherence.path, or the default made of user or group, and name. */
void config_slots_path(const struct config *config, char *ret_path, size_t n);

/* Where the statistics lie: stats.path, or the default made of user and name. */
void config_stats_path(const struct config *config, char *ret_path, size_t n);

#endif
