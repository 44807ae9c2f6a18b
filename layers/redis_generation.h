/*
 * redis_generation.h - the text that stands in Redis for all values of one
 * memcached server: which of them count, and who writes there.
 *
 *	<number> <run>.<replication>.<database> <began> <writers> <since>
 *
 * The number and the ids are hexadecimal, times are Redis' TIME in milliseconds:
 * when the number began, and since when the writers are as they are.  `writers`
 * is the id of the one domain that may rely on its table of slots alone (16
 * digits), or "several".  A text is only ever exchanged as a whole, by one that
 * was not there before.
 *
 * Any thread; nothing allocates.
 */
#ifndef TOWER_LAYERS_REDIS_GENERATION_H
#define TOWER_LAYERS_REDIS_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "layers/redis_wire.h"

#define REDIS_GENERATION_MAX 144 /* of its text, NUL included */

/* In place of a domain's id: several may write. */
#define REDIS_SEVERAL UINT64_C(0)

/* So much of a server's ids tells them apart; NUL included. */
#define REDIS_ID_MAX 17

/* Which data this is: of what run, of what history, in which database. */
struct redis_identity {
	char run[REDIS_ID_MAX];
	char replication[REDIS_ID_MAX];
	unsigned db;
};

struct redis_generation {
	char text[REDIS_GENERATION_MAX]; /* empty: there is none, or it is nonsense */
	size_t n;			 /* bytes of it */
	uint64_t number;		 /* 0: not of this Redis, or none */
	uint64_t began_ms;
	uint64_t domain; /* REDIS_SEVERAL, or who may use the simple rule */
	uint64_t since_ms;
	struct redis_identity identity; /* that it was compared with */
	bool is_whole;			/* somebody of us has written it, on whatever Redis */
	bool is_foreign; /* there is a text, but none that can be compared with another */
};

/*
 * Takes the reply to GET <generation>; false: it is no such reply.  What *ret was before
 * (zero, or another) spares the work where it is the same.
 */
bool redis_generation_take(struct redis_generation *ret, const struct redis_wire_reply *reply,
			   const struct redis_identity *identity);

/* Tells one text from another. */
static inline uint64_t redis_origin(const struct redis_generation *generation)
{
	return hash_bytes(generation->text, generation->n);
}

/*
 * The text of a new one, in which '@' stands for the time at which it is set;
 * began_ms 0: then.
 */
size_t redis_generation_text(uint64_t number, const struct redis_identity *identity,
			     uint64_t began_ms, uint64_t domain,
			     char ret_text[REDIS_GENERATION_MAX]);

#endif
