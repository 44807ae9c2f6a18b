/* What the commands' own options have in common. */
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
