#include "layers/redis_url.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layers/redis.h"

/* A piece of the url. */
struct span {
	const char *begin;
	const char *end;
};

static size_t span_length(struct span span)
{
	return (size_t)(span.end - span.begin);
}

/* Cuts `rest` at the first `mark`: what was before it, or false. */
static bool cut(struct span *rest, char mark, struct span *ret_before)
{
	const char *begin = rest->begin;

	for (const char *at = begin; at < rest->end; at++) {
		if (*at == mark) {
			*ret_before = (struct span){ begin, at };
			rest->begin = at + 1;
			return true;
		}
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes; false where it is too long, wrongly encoded or holds a NUL. */
static bool decode(struct span span, char *ret_text, size_t n)
{
	size_t length = 0;

	while (span.begin < span.end) {
		int byte = (unsigned char)*span.begin++;

		if (byte == '%') {
			int high = span_length(span) < 2 ? -1 : hex_digit(span.begin[0]);
			int low = high < 0 ? -1 : hex_digit(span.begin[1]);

			if (low < 0) {
				return false;
			}
			byte = high * 16 + low;
			span.begin += 2;
		}
		if (byte == 0 || length + 1 >= n) {
			return false;
		}
		ret_text[length++] = (char)byte;
	}
	ret_text[length] = '\0';
	return true;
}

/* Digits only, from min to max. */
static bool number(struct span span, unsigned min, unsigned max, unsigned *ret_number)
{
	unsigned result = 0;

	if (span_length(span) == 0 || span_length(span) > 8) {
		return false;
	}
	for (; span.begin < span.end; span.begin++) {
		if (*span.begin < '0' || *span.begin > '9') {
			return false;
		}
		result = result * 10 + (unsigned)(*span.begin - '0');
	}
	if (result < min || result > max) {
		return false;
	}
	*ret_number = result;
	return true;
}

static const char *parse_user(struct span text, struct redis_url *url)
{
	struct span user = text;
	struct span password = { text.end, text.end };

	if (cut(&text, ':', &user)) {
		password = text;
	}
	if (!decode(user, url->user, sizeof(url->user)) ||
	    !decode(password, url->password, sizeof(url->password))) {
		return "user or password is too long or wrongly percent-encoded";
	}
	return NULL;
}

static bool parse_port(struct span text, struct redis_url *url)
{
	unsigned port;

	if (!number(text, 1, 65535, &port) || span_length(text) >= sizeof(url->port)) {
		return false;
	}
	memcpy(url->port, text.begin, span_length(text));
	url->port[span_length(text)] = '\0';
	return true;
}

static const char *parse_host(struct span text, struct redis_url *url)
{
	static const char default_port[] = "6379";
	struct span host = text;
	bool has_port;

	if (text.begin < text.end && *text.begin == '[') {
		text.begin++;
		if (!cut(&text, ']', &host)) {
			return "the bracket of an IPv6 address is not closed";
		}
		has_port = text.begin < text.end;
		if (has_port && *text.begin++ != ':') {
			return "only a port may follow an IPv6 address";
		}
	} else {
		has_port = cut(&text, ':', &host);
	}
	if (span_length(host) == 0 || !decode(host, url->host, sizeof(url->host))) {
		return "the host is missing or too long";
	}
	memcpy(url->port, default_port, sizeof(default_port));
	if (has_port && !parse_port(text, url)) {
		return "the port must be a number from 1 to 65535";
	}
	return NULL;
}

static const char *parse_db(struct span text, struct redis_url *url)
{
	return number(text, 0, REDIS_URL_DB_MAX, &url->db) ? NULL
							   : "db must be a number from 0 to 65535";
}

/* [user:password@], which ends before the first slash. */
static const char *parse_authority(struct span *rest, struct redis_url *url)
{
	const char *slash = memchr(rest->begin, '/', span_length(*rest));
	const char *end = slash ? slash : rest->end;
	const char *at = memrchr(rest->begin, '@', (size_t)(end - rest->begin));
	struct span user = { rest->begin, at };

	if (at == NULL) {
		return NULL;
	}
	rest->begin = at + 1;
	return parse_user(user, url);
}

static const char *parse_tcp(struct span rest, struct redis_url *url)
{
	struct span host = rest;
	const char *why;

	if (memchr(rest.begin, '?', span_length(rest))) {
		return "nothing may follow host:port/db";
	}
	if (!cut(&rest, '/', &host)) {
		return parse_host(rest, url);
	}
	why = parse_host(host, url);
	if (why || rest.begin == rest.end) {
		return why;
	}
	return parse_db(rest, url);
}

static const char *parse_unix(struct span rest, struct redis_url *url)
{
	struct span path = rest;
	bool has_query = cut(&rest, '?', &path);

	url->is_unix = true;
	if (span_length(path) == 0 || *path.begin != '/') {
		return "the path of the socket must be absolute";
	}
	if (!decode(path, url->path, sizeof(url->path))) {
		return "the path of the socket is too long or wrongly percent-encoded";
	}
	if (!has_query) {
		return NULL;
	}
	if (span_length(rest) < 3 || memcmp(rest.begin, "db=", 3) != 0) {
		return "only ?db=N may follow the path of the socket";
	}
	rest.begin += 3;
	return parse_db(rest, url);
}

const char *redis_url_parse(const char *text, struct redis_url *ret_url)
{
	static const char tcp[] = "redis://";
	static const char local[] = "unix://";
	bool is_tcp = strncmp(text, tcp, strlen(tcp)) == 0;
	struct span rest = { text, text + strlen(text) };
	const char *why;

	memset(ret_url, 0, sizeof(*ret_url));
	if (strncmp(text, "rediss://", 9) == 0) {
		return "rediss:// (TLS) is not supported";
	}
	if (!is_tcp && strncmp(text, local, strlen(local)) != 0) {
		return "a url must begin with redis:// or unix://";
	}
	rest.begin += is_tcp ? strlen(tcp) : strlen(local);
	why = parse_authority(&rest, ret_url);
	if (why) {
		return why;
	}
	return is_tcp ? parse_tcp(rest, ret_url) : parse_unix(rest, ret_url);
}

const char *redis_url_check(const char *url)
{
	struct redis_url parsed;
	const char *why = redis_url_parse(url, &parsed);

	explicit_bzero(&parsed, sizeof(parsed));
	return why;
}

/* Non-blocking: a FIFO must not hang the program. */
static ssize_t read_regular(const char *path, char *ret_bytes, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat info;
	ssize_t length = -1;

	if (fd < 0) {
		return -1;
	}
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		do {
			length = read(fd, ret_bytes, n);
		} while (length < 0 && errno == EINTR);
	}
	close(fd);
	return length;
}

const char *redis_url_read_password(const char *path, struct redis_url *url)
{
	char *password = url->password;
	ssize_t length = read_regular(path, password, sizeof(url->password));
	size_t n;

	if (length < 0) {
		return "the password file cannot be read, or is no regular file";
	}
	n = (size_t)length;
	for (size_t i = 0; i < n; i++) {
		if (password[i] == '\n') {
			n = i;
		}
	}
	if (n > 0 && password[n - 1] == '\r') {
		n--;
	}
	if (n == 0 || n >= sizeof(url->password) || memchr(password, '\0', n)) {
		return "the first line of the password file is empty, too long or holds a NUL";
	}
	password[n] = '\0';
	return NULL;
}

bool redis_url_next(const char **at, char ret_url[REDIS_URL_MAX])
{
	const char *begin = *at + strspn(*at, ", \t");
	size_t n = strcspn(begin, ", \t");

	if (n == 0 || n >= REDIS_URL_MAX) {
		return false;
	}
	memcpy(ret_url, begin, n);
	ret_url[n] = '\0';
	*at = begin + n;
	return true;
}

const char *redis_replicas_check(const char *urls)
{
	char text[REDIS_URL_MAX];
	struct redis_url url;
	const char *why = NULL;

	while (why == NULL && redis_url_next(&urls, text)) {
		why = redis_url_parse(text, &url);
		if (why == NULL && (*url.user || *url.password || url.db)) {
			why = "user, password and database are those of url";
		}
	}
	if (why == NULL && urls[strspn(urls, ", \t")] != '\0') {
		why = "a url is too long";
	}
	explicit_bzero(&url, sizeof(url));
	return why;
}
