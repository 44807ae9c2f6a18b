/* What the commands' own options have in common. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

bool cli_takes_value(int argc, char **argv, int *at, const char *name, const char **ret)
{
	size_t n = strlen(name);
	const char *word = argv[*at];

	if (strncmp(word, name, n) != 0) {
		return false;
	}
	if (word[n] == '=') {
		*ret = word + n + 1;
		return true;
	}
	if (word[n] != '\0' || *at + 1 == argc) {
		return false;
	}
	*ret = argv[++*at];
	return true;
}

enum cli_option cli_option_of(const char *help, const char *name, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *end = strstr(help, "\n\n");

	for (const char *at = help; (at = strstr(at, "--")) != NULL && at < end; at++) {
		const char *behind = at + n;

		if (strncmp(at, name, n) != 0 || *behind == '-' || strspn(behind, letters)) {
			continue;
		}
		/* "[--name]", "[--name VALUE]", "--name=VALUE", "[--name [PART:]VALUE]" */
		behind += strspn(behind, " =");
		return behind > at + n && (*behind == '[' || strspn(behind, letters))
			       ? CLI_OPTION_WITH_VALUE
			       : CLI_OPTION_FLAG;
	}
	return CLI_OPTION_NONE;
}

/* The reader of times of the configuration, with the bounds of this key: 1 ms to 1 h. */
#define TIME_KEY "redis.breaker_retry"

bool cli_parse_time(const char *what, const char *text, int64_t *ret_ns)
{
	char option[CONFIG_TEXT_MAX];
	char why[CONFIG_WHY_MAX];
	struct config scratch = { 0 };

	snprintf(option, sizeof(option), TIME_KEY "=%s", text);
	if (config_option(&scratch, option, why) != CONFIG_OK) {
		cli_error("%s takes a time from 1ms to 1h, not '%s'", what, text);
		return false;
	}
	*ret_ns = scratch.redis_breaker_retry;
	return true;
}
