/*
 * The litmus test: do processes under the tower ever read what they would not
 * from memcached alone?
 *
 *	litmus [--library FILE] [--seconds N] [--until-red] VARIANT...
 *
 * One line per variant; the exit status is 1 if any failed.  With --until-red
 * a run ends at its first violation.  board.h says what is one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/coherence/deep.h"
#include "tests/coherence/relay.h"
#include "tests/coherence/run.h"

static bool judge(const struct variant *variant, const struct figures *f)
{
	bool back = f->backwards && !(variant->traits & VARIANT_DOMAINS);
	bool well = f->stale + f->resurrected + f->unexplained + f->late + f->split == 0 && !back;

	if (f->corrupt) {
		printf("  %" PRIu64 " values were not whole\n", f->corrupt);
		well = false;
	}
	if ((f->failed != 0) != ((variant->traits & VARIANT_HANGS) != 0)) {
		printf("  %" PRIu64 " calls failed\n", f->failed);
		well = false;
	}
	if (f->unserved) {
		printf("  %u keys are not served from memory after the kills\n", f->unserved);
		well = false;
	}
	if (f->lost * 1000 > f->gets) {
		printf("  %" PRIu64 " reads could not be judged\n", f->lost);
		well = false;
	}
	if (f->gets == 0 || f->memory_hits * 100 < f->gets * variant->percent_least) {
		printf("  memory served less than %u %% of the gets\n", variant->percent_least);
		well = false;
	}
	return well;
}

static bool perform(const struct variant *variant, const char *library, double seconds,
		    bool until_red)
{
	struct run run;
	struct figures f = { 0 };
	bool well;

	if (!run_open(&run, variant, library)) {
		return false;
	}
	run.seconds = seconds > 0 ? seconds : variant->seconds;
	run.until_red = until_red;
	well = run_perform(&run, &f);
	printf("litmus %s gets=%" PRIu64 " memory_hits=%" PRIu64 " writes=%" PRIu64
	       " kills=%u stale=%" PRIu64 " resurrected=%" PRIu64 " backwards=%" PRIu64
	       " unexplained=%" PRIu64 " late=%" PRIu64,
	       variant->name, f.gets, f.memory_hits, f.writes, run.kills, f.stale, f.resurrected,
	       f.backwards, f.unexplained, f.late);
	if (variant->traits & VARIANT_DOMAINS) {
		printf(" split=%" PRIu64, f.split);
	}
	printf("\n");
	if (variant->traits & VARIANT_DEEP) {
		printf("  deep_hits=%" PRIu64 " troubles=%u\n", f.deep_hits, run.deep.n_troubles);
		if (f.deep_hits == 0) {
			printf("  Redis served nothing\n");
			well = false;
		}
	}
	well = judge(variant, &f) && well;
	fflush(stdout);
	run_close(&run);
	return well;
}

static int role(char **argv)
{
	const struct worker_job job = {
		.variant = variant_find(argv[2]),
		.board_path = argv[3],
		.socket = argv[4],
		.number = (unsigned)atoi(argv[5]),
	};

	if (job.variant == NULL || job.number >= BOARD_WORKERS) {
		return 2;
	}
	if (strcmp(argv[1], "evict") == 0) {
		return deep_evict(&job);
	}
	if (strcmp(argv[1], "relay") == 0) {
		return relay_run(job.board_path, job.socket);
	}
	return strcmp(argv[1], "probe") == 0 ? worker_probe(&job) : worker_run(&job);
}

static int usage(void)
{
	fprintf(stderr, "usage: litmus [--library FILE] [--seconds N] [--until-red] VARIANT...\n"
			"variants:");
	for (const struct variant *v = variants; v->name; v++) {
		fprintf(stderr, " %s", v->name);
	}
	fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *library = "build/libtower.so";
	double seconds = 0;
	bool until_red = false;
	bool well = true;
	int i = 1;

	if (argc == 6 && (strcmp(argv[1], "worker") == 0 || strcmp(argv[1], "probe") == 0 ||
			  strcmp(argv[1], "evict") == 0 || strcmp(argv[1], "relay") == 0)) {
		return role(argv);
	}
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--until-red") == 0) {
			until_red = true;
		} else if (strcmp(argv[i], "--library") == 0 && i + 1 < argc) {
			library = argv[++i];
		} else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
			seconds = atof(argv[++i]);
		} else {
			return usage();
		}
	}
	if (i == argc) {
		return usage();
	}
	srand((unsigned)time(NULL));
	for (; i < argc; i++) {
		const struct variant *variant = variant_find(argv[i]);

		if (variant == NULL) {
			return usage();
		}
		well = perform(variant, library, seconds, until_red) && well;
	}
	return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
