#include "layers/redis_alias.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"

struct alias {
	char name[REDIS_ALIAS_MAX];
	char server[REDIS_ALIAS_MAX];
};

static bool copy(const char *from, size_t n, char ret[REDIS_ALIAS_MAX])
{
	while (n && *from == ' ') {
		from++;
		n--;
	}
	while (n && from[n - 1] == ' ') {
		n--;
	}
	if (n == 0 || n >= REDIS_ALIAS_MAX) {
		return false;
	}
	memcpy(ret, from, n);
	ret[n] = '\0';
	return true;
}

/* The first of the list, which moves behind it; false where that is none. */
static bool next_alias(const char **list, struct alias *ret)
{
	size_t n = strcspn(*list, ",");
	const char *sign = memchr(*list, '=', n);
	bool well = sign && copy(*list, (size_t)(sign - *list), ret->name) &&
		    copy(sign + 1, n - (size_t)(sign + 1 - *list), ret->server);

	*list += n;
	*list += **list == ',';
	return well;
}

/* As the shim names it. */
static bool name_of(const char *text, char ret_name[REDIS_ALIAS_MAX])
{
	char host[REDIS_ALIAS_MAX];
	const char *colon = strrchr(text, ':');
	unsigned long port = 0;
	char *end;

	if (text[0] == '/') {
		machine_name_server(text, 0, ret_name, REDIS_ALIAS_MAX);
		return true;
	}
	if (colon == NULL || colon == text) {
		return false;
	}
	port = strtoul(colon + 1, &end, 10);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	machine_name_server(host, (unsigned)port, ret_name, REDIS_ALIAS_MAX);
	return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port > 0 && port < 65536;
}

const char *redis_alias_check(const char *list)
{
	char name[REDIS_ALIAS_MAX];
	struct alias alias;

	while (*list) {
		if (!next_alias(&list, &alias)) {
			return "takes name=server, separated by commas";
		}
		if (!name_of(alias.name, name)) {
			return "takes host:port or the path of a socket before each '='";
		}
		if (strpbrk(alias.server, "{}= ")) {
			return "takes no braces, blanks and '=' in what a server is called";
		}
	}
	return NULL;
}

const char *redis_alias_of(const char *list, const char *server, char ret_name[REDIS_ALIAS_MAX])
{
	char name[REDIS_ALIAS_MAX];
	struct alias alias;

	while (list && *list) {
		if (next_alias(&list, &alias) && name_of(alias.name, name) &&
		    strcmp(name, server) == 0) {
			memcpy(ret_name, alias.server, sizeof(alias.server));
			return ret_name;
		}
	}
	return server;
}
