/* tower metrics: the statistics for Prometheus, once or over HTTP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/metrics_print.h"
#include "cli/metrics_server.h"
#include "cli/snapshot.h"
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
				  "--listen ADDRESS:PORT",
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

static bool print(const struct config *config, FILE *out)
{
	struct stats_snapshot *snapshot = NULL;
	enum stats_status status = snapshot_take("metrics", config, &snapshot);

	if (status == STATS_NONE) {
		snapshot = snapshot_of_nothing(config);
	}
	if (snapshot == NULL) {
		return false;
	}
	metrics_print(snapshot, switch_read(config), out);
	stats_snapshot_free(&snapshot);
	return !ferror(out);
}

static char *page(const void *owner, size_t *ret_n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_n);
	bool well = out && print(owner, out);

	if (out && fclose(out) != 0) {
		well = false;
	}
	if (!well) {
		free(text);
		return NULL;
	}
	return text;
}

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
		return metrics_serve(arguments.listen, page, &config);
	}
	if (arguments.file) {
		return print_to_file(&config, arguments.file);
	}
	return print(&config, stdout) ? CLI_OK : CLI_FAILED;
}
