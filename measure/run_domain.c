#include "measure/run_domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 1024

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool add(char **environment, size_t *n, const char *name, const char *value)
{
	if (*n + 1 >= ENVIRONMENT_MAX ||
	    asprintf(&environment[*n], "%s%s%s", name, *name ? "=" : "", value) < 0) {
		environment[*n] = NULL;
		errno = ENOMEM;
		return false;
	}
	++*n;
	return true;
}

/* The whole configuration: nothing else that a worker could read says anything. */
static bool add_configuration(const struct run_domain *domain,
			      const struct run_domain_options *options, size_t *n)
{
	char file[512];
	FILE *empty;

	snprintf(file, sizeof(file), "%s/tower.ini", options->folder);
	empty = fopen(file, "we");
	if (!empty || fclose(empty) != 0 || !add(domain->environment, n, "TOWER_CONFIG", file) ||
	    !add(domain->environment, n, "LD_PRELOAD", options->library)) {
		return false;
	}
	for (unsigned key = 0; key < CONFIG_N_KEYS; key++) {
		char name[64];
		char value[CONFIG_TEXT_MAX];

		if (domain->config.source[key] == CONFIG_FROM_DEFAULT) {
			continue;
		}
		config_environment_name((enum config_key)key, name);
		config_format(&domain->config, (enum config_key)key, value, sizeof(value));
		if (!add(domain->environment, n, name, value)) {
			return false;
		}
	}
	return true;
}

static bool make_environment(struct run_domain *domain, const struct run_domain_options *options)
{
	size_t n = 0;

	domain->environment = calloc(ENVIRONMENT_MAX, sizeof(*domain->environment));
	if (!domain->environment) {
		return false;
	}
	for (char **from = environ; *from; from++) {
		if (!begins(*from, "LD_PRELOAD=") && !begins(*from, "TOWER_") &&
		    !add(domain->environment, &n, "", *from)) {
			return false;
		}
	}
	return domain->plain || add_configuration(domain, options, &n);
}

static bool set(struct config *config, const char *key, const char *value)
{
	char option[CONFIG_TEXT_MAX + 64];
	char why[CONFIG_WHY_MAX];

	snprintf(option, sizeof(option), "%s=%s", key, value);
	return config_option(config, option, why) == CONFIG_OK;
}

bool run_domain_open(struct run_domain *domain, const struct run_domain_options *options)
{
	char name[64];

	*domain = (struct run_domain){ .plain = options->candidate->plain,
				       .config = options->candidate->config };
	snprintf(name, sizeof(name), "bench-%ld-%u", (long)getpid(), options->number);
	if (!set(&domain->config, "tower.name", name) ||
	    !set(&domain->config, "stats.enabled", "yes") ||
	    !set(&domain->config, "stats.path", "") ||
	    !set(&domain->config, "coherence.path", "") ||
	    (options->redis && !set(&domain->config, "redis.url", options->redis)) ||
	    (options->redis_namespace &&
	     !set(&domain->config, "redis.namespace", options->redis_namespace))) {
		errno = EINVAL;
		return false;
	}
	if (!make_environment(domain, options)) {
		int error = errno;

		run_domain_close(domain);
		errno = error;
		return false;
	}
	return true;
}

void run_domain_close(struct run_domain *domain)
{
	char path[CONFIG_TEXT_MAX];

	for (char **word = domain->environment; word && *word; word++) {
		free(*word);
	}
	free(domain->environment);
	domain->environment = NULL;
	if (!domain->plain) {
		config_slots_path(&domain->config, path, sizeof(path));
		unlink(path);
		config_stats_path(&domain->config, path, sizeof(path));
		unlink(path);
	}
}

bool run_domain_read(const struct run_domain *domain, struct stats_layer_values *ret_layers,
		     uint64_t *ret_calls)
{
	struct stats_snapshot *snapshot = NULL;
	char path[CONFIG_TEXT_MAX];
	enum stats_status status;

	memset(ret_layers, 0, STATS_LAYERS_MAX * sizeof(*ret_layers));
	*ret_calls = 0;
	if (domain->plain) {
		return true;
	}
	config_stats_path(&domain->config, path, sizeof(path));
	status = stats_snapshot_take(path, &snapshot);
	if (status == STATS_NONE) {
		return true;
	}
	if (status != STATS_OK) {
		errno = status == STATS_FOREIGN ? EPERM : errno;
		return false;
	}
	memcpy(ret_layers, snapshot->total.layers, STATS_LAYERS_MAX * sizeof(*ret_layers));
	for (unsigned i = 0; i < snapshot->n_calls; i++) {
		*ret_calls += snapshot->total.calls[i];
	}
	stats_snapshot_free(&snapshot);
	return true;
}
