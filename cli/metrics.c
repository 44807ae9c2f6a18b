/* tower metrics: the statistics for Prometheus, once or over HTTP. */
#include <errno.h>
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

static bool write_and_close(const struct config *config, int fd)
{
	FILE *out = fdopen(fd, "w");
	bool well;

	if (out == NULL) {
		close(fd);
		return false;
	}
	/* mkstemp() made it for us alone; whoever collects is somebody else. */
	well = fchmod(fd, 0644) == 0 && print(config, out);
	return fclose(out) == 0 && well;
}

/* Whoever reads the file sees the old one or the new one, and never a part. */
static int print_to_file(const struct config *config, const char *file)
{
	char temporary[CONFIG_TEXT_MAX];
	int used = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", file);
	int fd = used < (int)sizeof(temporary) ? mkstemp(temporary) : -1;

	if (fd < 0) {
		cli_error("metrics: %s cannot be made: %s", file,
			  used < (int)sizeof(temporary) ? strerror(errno) : "its name is too long");
		return CLI_FAILED;
	}
	if (!write_and_close(config, fd) || rename(temporary, file) != 0) {
		cli_error("metrics: cannot write %s: %s", file, strerror(errno));
		unlink(temporary);
		return CLI_FAILED;
	}
	return CLI_OK;
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
