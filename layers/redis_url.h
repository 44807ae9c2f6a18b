/*
 * redis_url.h - where a Redis is, and who we are there.
 *
 *	redis://[user:password@]host[:port][/db]
 *	unix://[user:password@]/path[?db=N]
 *
 * User and password may each be left out ("user@", ":password@"); these two
 * and the path may be percent-encoded.  A host in brackets is an IPv6 address.
 *
 * Nothing allocates; nothing is kept.
 */
#ifndef TOWER_LAYERS_REDIS_URL_H
#define TOWER_LAYERS_REDIS_URL_H

#include <stdbool.h>

#define REDIS_URL_PATH_MAX 108 /* of struct sockaddr_un, NUL included */
#define REDIS_URL_HOST_MAX 256
#define REDIS_URL_NAME_MAX 512 /* of a user or password, NUL included */
#define REDIS_URL_DB_MAX 65535

struct redis_url {
	bool is_unix;
	char path[REDIS_URL_PATH_MAX];
	char host[REDIS_URL_HOST_MAX];
	char port[8];
	char user[REDIS_URL_NAME_MAX];	   /* empty: none */
	char password[REDIS_URL_NAME_MAX]; /* empty: none */
	unsigned db;
};

/* NULL, or a static sentence that says what is wrong; *ret_url is then undefined. */
const char *redis_url_parse(const char *text, struct redis_url *ret_url);

/*
 * The next url of a list that is separated by commas and blanks; *at moves behind it.
 * False where there is none, or it is too long; then *at stands before it.
 */
#define REDIS_URL_MAX 512
bool redis_url_next(const char **at, char ret_url[REDIS_URL_MAX]);

/*
 * Takes the password from the first line of a regular file.  NULL, or a static
 * sentence that says what is wrong.
 */
const char *redis_url_read_password(const char *path, struct redis_url *url);

#endif
