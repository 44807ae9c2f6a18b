/* tower metrics: the statistics for Prometheus, once or over HTTP. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/metrics_print.h"
#include "cli/metrics_server.h"
#include "cli/page.h"
#include "cli/snapshot.h"
#include "cli/stat_print.h"
#include "cli/switch.h"

struct arguments {
	const char *file;   /* NULL: standard output */
	const char *listen; /* NULL: once */
};

static bool parse(int argc, char **argv, struct arguments *ret)
{
	for (int i = 1; i < argc; i++) {
		const char *value;

		if (cli_takes_value(argc, argv, &i, "--output", &value)) {
			ret->file = value;
		} else if (cli_takes_value(argc, argv, &i, "--listen", &value)) {
			ret->listen = value;
		} else {
			cli_error("metrics: what is '%s'? It takes --output FILE or "
				  "--listen [ADDRESS:]PORT",
				  argv[i]);
			return false;
		}
	}
	if (ret->file && ret->listen) {
		cli_error("metrics: it is --output or --listen, not both");
		return false;
	}
	return true;
}

typedef void print_fn(const struct stats_snapshot *snapshot, unsigned off, FILE *out);

static bool print_with(print_fn *how, const struct config *config, FILE *out)
{
	struct stats_snapshot *snapshot = NULL;
	enum stats_status status = snapshot_take("metrics", config, &snapshot);

	if (status == STATS_NONE) {
		snapshot = snapshot_of_nothing(config);
	}
	if (snapshot == NULL) {
		return false;
	}
	how(snapshot, switch_read(config), out);
	stats_snapshot_free(&snapshot);
	return !ferror(out);
}

static bool print(const struct config *config, FILE *out)
{
	return print_with(metrics_print, config, out);
}

static void print_json(const struct stats_snapshot *snapshot, unsigned off, FILE *out)
{
	const struct stat_filter filter = { .off = off };

	stat_print_json(snapshot, &filter, out);
}

static char *page_with(print_fn *how, const struct config *config, size_t *ret_n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_n);
	bool well = out && print_with(how, config, out);

	if (out && fclose(out) != 0) {
		well = false;
	}
	if (!well) {
		free(text);
		return NULL;
	}
	return text;
}

static char *page_of_metrics(const void *owner, size_t *ret_n)
{
	return page_with(metrics_print, owner, ret_n);
}

static char *page_of_json(const void *owner, size_t *ret_n)
{
	return page_with(print_json, owner, ret_n);
}

static char *page_for_people(const void *owner, size_t *ret_n)
{
	char *text = malloc((size_t)page_html_bytes);

	(void)owner;
	if (text) {
		*ret_n = (size_t)page_html_bytes;
		memcpy(text, page_html, *ret_n);
	}
	return text;
}

static const struct metrics_page pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", page_of_metrics },
	{ "/stat.json", "application/json", page_of_json },
	{ "/", "text/html; charset=utf-8", page_for_people },
	{ 0 },
};

/* How an attempt to write went; who says CANNOT_READ has said why. */
enum written { WRITTEN, CANNOT_WRITE, CANNOT_READ };

static enum written write_and_close(const struct config *config, int fd)
{
	FILE *out = fdopen(fd, "w");
	enum written written = WRITTEN;

	if (out == NULL) {
		close(fd);
		return CANNOT_WRITE;
	}
	if (!print(config, out)) {
		written = ferror(out) ? CANNOT_WRITE : CANNOT_READ;
	}
	return fclose(out) != 0 && written == WRITTEN ? CANNOT_WRITE : written;
}

/* Whoever reads the file sees the old one or the new one, and never a part. */
static enum written exchange_file(const struct config *config, const char *file,
				  const struct stat *before)
{
	char temporary[PATH_MAX + sizeof(".XXXXXX")];
	enum written written;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", file);
	fd = mkstemp(temporary);
	if (fd < 0) {
		return CANNOT_WRITE;
	}
	/* mkstemp() made it for us alone; whoever collects is somebody else. */
	if (before && fchown(fd, before->st_uid, before->st_gid) != 0) {
		/* Only root can keep the owner. */
		before = NULL;
	}
	if (fchmod(fd, before ? before->st_mode & 0777 : 0644) != 0) {
		close(fd);
		written = CANNOT_WRITE;
	} else {
		written = write_and_close(config, fd);
	}
	if (written == WRITTEN && rename(temporary, file) == 0) {
		return WRITTEN;
	}
	unlink(temporary);
	return written == WRITTEN ? CANNOT_WRITE : written;
}

/* A pipe, a device, a file that a link leads to and that is not there yet. */
static enum written write_into(const struct config *config, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	return fd >= 0 ? write_and_close(config, fd) : CANNOT_WRITE;
}

static bool is_stdout(const struct stat *info)
{
	struct stat ours;

	return fstat(STDOUT_FILENO, &ours) == 0 && ours.st_dev == info->st_dev &&
	       ours.st_ino == info->st_ino;
}

/* What a symbolic link leads to is exchanged, not the link; what is no file is written to. */
static enum written write_file(const struct config *config, const char *file)
{
	char target[PATH_MAX];
	struct stat info;

	if (strlen(file) >= sizeof(target)) {
		errno = ENAMETOOLONG;
		return CANNOT_WRITE;
	}
	if (stat(file, &info) != 0) {
		return errno == ENOENT && lstat(file, &info) != 0
			       ? exchange_file(config, file, NULL)
			       : write_into(config, file);
	}
	if (is_stdout(&info)) {
		return print(config, stdout) ? WRITTEN : CANNOT_READ;
	}
	if (!S_ISREG(info.st_mode)) {
		return write_into(config, file);
	}
	return realpath(file, target) ? exchange_file(config, target, &info) : CANNOT_WRITE;
}

static int print_to_file(const struct config *config, const char *file)
{
	enum written written = write_file(config, file);

	if (written == CANNOT_WRITE) {
		cli_error("metrics: cannot write %s: %s", file, strerror(errno));
	}
	return written == WRITTEN ? CLI_OK : CLI_FAILED;
}

int cli_metrics(const struct cli_options *options, int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct config config;

	if (!parse(argc, argv, &arguments)) {
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	if (arguments.listen) {
		return metrics_serve(arguments.listen, pages, &config);
	}
	if (arguments.file) {
		return print_to_file(&config, arguments.file);
	}
	return print(&config, stdout) ? CLI_OK : CLI_FAILED;
}
