#include "layers/redis_generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/digits.h"

static const char several[] = "several";

static char *add_identity(char *at, const struct redis_identity *identity)
{
	*at++ = ' ';
	at = stpcpy(at, identity->run);
	*at++ = '.';
	at = stpcpy(at, identity->replication);
	*at++ = '.';
	return digits_decimal(at, identity->db);
}

static char *add_time(char *at, uint64_t time_ms)
{
	*at++ = ' ';
	if (time_ms) {
		return digits_decimal(at, time_ms);
	}
	*at++ = '@';
	return at;
}

static size_t text_of(const struct redis_generation *generation,
		      const struct redis_identity *identity, char ret_text[REDIS_GENERATION_MAX])
{
	char *at = digits_hex(ret_text, generation->number, 1);

	at = add_time(add_identity(at, identity), generation->began_ms);
	*at++ = ' ';
	at = generation->domain == REDIS_SEVERAL ? stpcpy(at, several)
						 : digits_hex(at, generation->domain, 16);
	at = add_time(at, generation->since_ms);
	*at = '\0';
	return (size_t)(at - ret_text);
}

size_t redis_generation_text(uint64_t number, const struct redis_identity *identity,
			     uint64_t began_ms, uint64_t domain,
			     char ret_text[REDIS_GENERATION_MAX])
{
	const struct redis_generation generation = { .number = number,
						     .began_ms = began_ms,
						     .domain = domain };

	return text_of(&generation, identity, ret_text);
}

/* The next word and the blank before it; NULL where there is none. */
static const char *next_word(const char *at)
{
	at = strchr(at, ' ');
	return at ? at + 1 : NULL;
}

/* What the words say; whether each is what it should be, the caller finds out. */
static bool parse(struct redis_generation *ret)
{
	const char *identity = next_word(ret->text);
	const char *began = identity ? next_word(identity) : NULL;
	const char *writers = began ? next_word(began) : NULL;
	const char *since = writers ? next_word(writers) : NULL;

	if (since == NULL) {
		return false;
	}
	ret->number = strtoull(ret->text, NULL, 16);
	ret->began_ms = strtoull(began, NULL, 10);
	ret->domain = strncmp(writers, several, strlen(several)) == 0 ? REDIS_SEVERAL
								      : strtoull(writers, NULL, 16);
	ret->since_ms = strtoull(since, NULL, 10);
	return ret->number && ret->began_ms && ret->since_ms;
}

static bool is_same(const struct redis_generation *before, const struct redis_wire_reply *reply,
		    const struct redis_identity *identity)
{
	return reply->type == REDIS_WIRE_STRING && reply->n == before->n &&
	       memcmp(reply->bytes, before->text, before->n) == 0 &&
	       identity->db == before->identity.db &&
	       strcmp(identity->run, before->identity.run) == 0 &&
	       strcmp(identity->replication, before->identity.replication) == 0;
}

bool redis_generation_take(struct redis_generation *ret, const struct redis_wire_reply *reply,
			   const struct redis_identity *identity)
{
	char again[REDIS_GENERATION_MAX];

	if (ret->number && is_same(ret, reply, identity)) {
		return true;
	}
	*ret = (struct redis_generation){ .identity = *identity };
	if (reply->type != REDIS_WIRE_STRING && reply->type != REDIS_WIRE_NIL) {
		return false;
	}
	if (reply->type == REDIS_WIRE_NIL) {
		return true;
	}
	if (reply->n >= sizeof(ret->text) || memchr(reply->bytes, '\0', reply->n)) {
		ret->is_foreign = true;
		return true;
	}
	memcpy(ret->text, reply->bytes, reply->n);
	ret->text[reply->n] = '\0';
	ret->n = reply->n;
	ret->is_whole = parse(ret);
	/* What was written is the only text that says the same. */
	if (!ret->is_whole || text_of(ret, identity, again) != ret->n ||
	    memcmp(ret->text, again, ret->n) != 0) {
		ret->number = 0;
	}
	return true;
}
