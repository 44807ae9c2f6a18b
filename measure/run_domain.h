/*
 * run_domain.h - the coherence domain of one run: its configuration, the environment that its
 * workers get, its counters.
 *
 * One thread.
 */
#ifndef TOWER_MEASURE_RUN_DOMAIN_H
#define TOWER_MEASURE_RUN_DOMAIN_H

#include <stdbool.h>

#include "core/stats_snapshot.h"
#include "measure/candidate.h"

struct run_domain_options {
	const struct candidate *candidate;
	unsigned number;	     /* of the run */
	const char *redis;	     /* url; NULL: that of the configuration */
	const char *redis_namespace; /* NULL: that of the configuration */
	const char *folder;	     /* for a file */
	const char *library;	     /* that is preloaded */
};

struct run_domain {
	bool plain;
	struct config config;
	char **environment; /* NULL at its end; owned, as its words are */
};

/* To be given to run_domain_close().  False: errno says why. */
bool run_domain_open(struct run_domain *domain, const struct run_domain_options *options);

/* Removes what the domain has in shared memory, too. */
void run_domain_close(struct run_domain *domain);

/*
 * What its layers have counted by now, and how many calls of libmemcached it saw.  False:
 * errno says why.
 */
bool run_domain_read(const struct run_domain *domain, struct stats_layer_values *ret_layers,
		     uint64_t *ret_calls);

#endif
