/* tower disable, tower enable: the switch beside the slots of a domain. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/switch.h"
#include "core/domain.h"
#include "layers/layer.h"

/* What can be switched, in the order in which it is named. */
static const struct {
	const char *name;
	unsigned bit;
} switches[] = {
	{ "memory", LAYER_PRIVATE },
	{ "redis", LAYER_SHARED },
};

#define N_SWITCHES (sizeof(switches) / sizeof(switches[0]))
#define EVERYTHING (LAYER_PRIVATE | LAYER_SHARED | LAYER_AUTHORITY)

bool switch_table(const struct config *config, char *path, struct slots_options *ret)
{
	domain_table(config, path, ret);
	return ret->path != NULL;
}

unsigned switch_read(const struct config *config)
{
	char path[CONFIG_TEXT_MAX];
	struct slots_options options;

	return switch_table(config, path, &options) ? slots_switched_off(&options) : 0;
}

const char *switch_text(unsigned off)
{
	bool memory = off & LAYER_PRIVATE;
	bool redis = off & LAYER_SHARED;

	if (off & LAYER_AUTHORITY) {
		return "switched off";
	}
	if (memory && redis) {
		return "memory and redis are switched off";
	}
	return memory  ? "memory is switched off"
	       : redis ? "redis is switched off"
		       : "everything is switched on";
}

/* False: no such thing to switch. */
static bool find_bits(const char *layer, bool enable, unsigned *ret)
{
	if (layer == NULL) {
		*ret = EVERYTHING;
		return true;
	}
	for (size_t i = 0; i < N_SWITCHES; i++) {
		if (strcmp(layer, switches[i].name) == 0) {
			/* With one layer on the tower as a whole is not off any more. */
			*ret = switches[i].bit | (enable ? LAYER_AUTHORITY : 0);
			return true;
		}
	}
	return false;
}

static int switch_domain(const struct config *config, const char *command, unsigned off,
			 unsigned on)
{
	char path[CONFIG_TEXT_MAX];
	struct slots_options options;
	const char *why;
	unsigned now;

	if (!switch_table(config, path, &options)) {
		cli_error("%s: with coherence.mode = none programs share nothing that could tell "
			  "them; set TOWER_DISABLE=1 and start them anew",
			  command);
		return CLI_FAILED;
	}
	if (!slots_switch(&options, off, on, &now, &why)) {
		cli_error("%s: %s: %s", command, path, why);
		return CLI_FAILED;
	}
	printf("domain %s: %s\n", config->tower_name, switch_text(now));
	return CLI_OK;
}

static int switch_command(const struct cli_options *options, int argc, char **argv, bool enable)
{
	struct config config;
	unsigned bits;

	if (argc > 2) {
		cli_error("%s: \"%s\" not understood; see `tower %s --help`", argv[0], argv[2],
			  argv[0]);
		return CLI_USAGE;
	}
	if (!find_bits(argv[1], enable, &bits)) {
		cli_error("%s: \"%s\" cannot be switched: memory and redis can, or nothing named "
			  "for the whole tower",
			  argv[0], argv[1]);
		return CLI_USAGE;
	}
	if (!cli_load_config(options, &config)) {
		return CLI_FAILED;
	}
	return switch_domain(&config, argv[0], enable ? 0 : bits, enable ? bits : 0);
}

int cli_disable(const struct cli_options *options, int argc, char **argv)
{
	return switch_command(options, argc, argv, false);
}

int cli_enable(const struct cli_options *options, int argc, char **argv)
{
	return switch_command(options, argc, argv, true);
}
