#include "tests/coherence/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES 16384

int ask_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Sends the question and receives until the answer ends so. */
static bool ask(int fd, const char *question, const char *end, char *answer)
{
	size_t n = 0;

	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question)) {
		return false;
	}
	while (n + 1 < ANSWER_BYTES) {
		ssize_t got = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0);

		if (got <= 0) {
			return false;
		}
		n += (size_t)got;
		answer[n] = '\0';
		if (n >= strlen(end) && strcmp(answer + n - strlen(end), end) == 0) {
			return true;
		}
	}
	return false;
}

bool ask_stat(int fd, const char *name, uint64_t *ret)
{
	char answer[ANSWER_BYTES];
	char line[64];
	const char *found;

	snprintf(line, sizeof(line), "STAT %s ", name);
	if (!ask(fd, "stats\r\n", "END\r\n", answer)) {
		return false;
	}
	found = strstr(answer, line);
	if (found == NULL) {
		return false;
	}
	*ret = strtoull(found + strlen(line), NULL, 10);
	return true;
}

bool ask_delete(int fd, const char *key)
{
	char answer[ANSWER_BYTES];
	char question[256];

	snprintf(question, sizeof(question), "delete %s\r\n", key);
	return ask(fd, question, "\r\n", answer);
}

bool ask_set(int fd, const char *key, const char *text)
{
	char answer[ANSWER_BYTES];
	char question[256];

	snprintf(question, sizeof(question), "set %s 0 0 %zu\r\n%s\r\n", key, strlen(text), text);
	return ask(fd, question, "STORED\r\n", answer);
}
