/*
 * config_private.h - what the files of core/config*.c share: the table of
 * keys, and how one value is read.
 *
 * config.c collects the sources, config_file.c reads a file, config_parse.c
 * reads values, config_print.c writes them.
 */
#ifndef TOWER_CORE_CONFIG_PRIVATE_H
#define TOWER_CORE_CONFIG_PRIVATE_H

#include "core/config.h"

enum config_type {
	CONFIG_TYPE_TEXT,
	CONFIG_TYPE_BYTES,
	CONFIG_TYPE_COUNT,
	CONFIG_TYPE_TIME,
	CONFIG_TYPE_CHOICE,
	CONFIG_TYPE_LAYERS,
};

/* One line of config.def. */
struct config_entry {
	const char *section;
	const char *key;
	enum config_type type;
	size_t offset; /* of the field in struct config */
	const char *def;
	int64_t min;
	int64_t max;
	const char *allowed;
	const char *help;
};

extern const struct config_entry config_entries[CONFIG_N_KEYS];

/* Bytes of the parts of an error, NULs included: where, which value, what is allowed. */
#define CONFIG_WHERE_MAX 640
#define CONFIG_SHOWN_MAX 128
#define CONFIG_ALLOWED_MAX 128

/* Sets the field from a text.  NULL, or a static phrase that says what the value is not. */
const char *config_parse(struct config *config, enum config_key key, const char *value);

/* What a key takes, with its range, as a phrase. */
void config_allowed(enum config_key key, char *ret_text, size_t n);

/* The names of all keys of a section, or of all sections where it is NULL, with commas. */
void config_list(const char *section, char *ret_list, size_t n);

/*
 * A value as people may see it: *** for the password of an url, ? for control
 * characters, ... where it was cut to fit.
 */
void config_show(const char *value, char *ret_text, size_t n);

/* Parses, and notes the source; where it is wrong, writes the whole error behind `where`. */
enum config_status config_set(struct config *config, enum config_key key, const char *value,
			      enum config_source source, const char *where, char *ret_why);

/*
 * Reads a file into *config.  `where` names it in an error about the file
 * itself.  A file that is not there is an error only where it must be.
 */
enum config_status config_read_file(struct config *config, const char *path, bool must_exist,
				    const char *where, char *ret_why);

/* Whether TOWER_<name> means something to tower without being a key. */
bool config_known_variable(const char *name);

#endif
