#include "layers/redis_answers.h"

#include <string.h>

int64_t redis_answers_number(const char *bytes, size_t n)
{
	int64_t number = 0;

	/* 18 digits fit whatever they are. */
	if (n == 0 || n > 18 || bytes[0] == '0') {
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < '0' || bytes[i] > '9') {
			return 0;
		}
		number = number * 10 + (bytes[i] - '0');
	}
	return number;
}

static bool is_oom(const struct redis_wire_reply *reply)
{
	static const char oom[] = "OOM ";

	return reply->n >= strlen(oom) && memcmp(reply->bytes, oom, strlen(oom)) == 0;
}

bool redis_answers_take(void *answers, const struct redis_wire_reply *reply)
{
	struct redis_answers *all = answers;
	struct redis_answer *answer;

	if (reply->command >= REDIS_ANSWERS_MAX || reply->is_element ||
	    reply->type == REDIS_WIRE_ARRAY) {
		return false;
	}
	answer = &all->list[reply->command];
	answer->type = reply->type;
	answer->number = reply->integer;
	if (reply->type == REDIS_WIRE_STRING) {
		answer->number = redis_answers_number(reply->bytes, reply->n);
		/* Nobody but us writes where we ask for a number. */
		return answer->number != 0;
	}
	return reply->type != REDIS_WIRE_ERROR || (all->permits_oom && is_oom(reply));
}
