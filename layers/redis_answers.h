/*
 * redis_answers.h - the replies to a few commands that answer with a number,
 * a status or nothing.
 */
#ifndef TOWER_LAYERS_REDIS_ANSWERS_H
#define TOWER_LAYERS_REDIS_ANSWERS_H

#include "layers/redis_wire.h"

#define REDIS_ANSWERS_MAX 2

struct redis_answer {
	enum redis_wire_type type;
	int64_t number; /* an integer, or a string that is one; else 0 */
};

struct redis_answers {
	bool permits_oom; /* "OOM" is an answer like others, not a failure */
	struct redis_answer list[REDIS_ANSWERS_MAX];
};

/* A redis_wire_reply_fn; `answers` is a struct redis_answers. */
bool redis_answers_take(void *answers, const struct redis_wire_reply *reply);

/* The digits of a positive number as Redis writes it, or 0. */
int64_t redis_answers_number(const char *bytes, size_t n);

#endif
