/*
 * json.h - writes JSON, compact, as it is told.
 *
 * The caller balances json_object() and json_array() with json_end(), to a
 * depth of JSON_DEPTH_MAX.  `key` is the name inside an object and NULL inside
 * an array and at the top.  Failures stay in the stream's error flag.
 */
#ifndef TOWER_CLI_JSON_H
#define TOWER_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/latency.h"

#define JSON_DEPTH_MAX 8

struct json {
	FILE *out; /* borrowed; set by the caller, the rest is zero at first */
	unsigned depth;
	char end[JSON_DEPTH_MAX + 1];
	bool filled[JSON_DEPTH_MAX + 1]; /* a comma comes before the next */
};

void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end(struct json *json);
void json_number(struct json *json, const char *key, uint64_t n);

/* With nine digits; what is no number (NaN) and what is infinite becomes null. */
void json_real(struct json *json, const char *key, double x);

/* Any bytes up to a NUL; what is not UTF-8 becomes U+FFFD. */
void json_text(struct json *json, const char *key, const char *text);

/* [nanoseconds from, how many] of every bucket that has any. */
void json_histogram(struct json *json, const char *key, const struct latency_values *values);

#endif
