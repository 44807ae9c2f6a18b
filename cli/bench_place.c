/* The machine that is measured on. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "cli/bench.h"

/* The value of the first line of /proc/cpuinfo with this name. */
static void processor_name(char *ret, size_t n)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512];

	snprintf(ret, n, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (value && strncmp(line, "model name", 10) == 0) {
			value[strcspn(value, "\n")] = '\0';
			snprintf(ret, n, "%s", value + 2);
			break;
		}
	}
	if (file) {
		fclose(file);
	}
}

/* Time of all processors, and what of it the hypervisor gave to others; in ticks. */
static bool ticks(double *ret_all, double *ret_stolen)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[512];
	char *rest = NULL;
	char *word;
	bool known = file && fgets(line, sizeof(line), file);

	*ret_all = 0;
	*ret_stolen = 0;
	if (file) {
		fclose(file);
	}
	word = known ? strtok_r(line, " \n", &rest) : NULL;
	/* user nice system idle iowait irq softirq steal; what follows is in user already. */
	for (unsigned i = 0; word && i < 8; i++) {
		word = strtok_r(NULL, " \n", &rest);
		if (word) {
			double value = strtod(word, NULL);

			*ret_all += value;
			*ret_stolen = i == 7 ? value : 0;
		}
	}
	return known;
}

static double first_all, first_stolen;

void bench_place_begin(struct bench_place *place)
{
	struct utsname names;
	struct sysinfo info;
	cpu_set_t processors;
	time_t now = time(NULL);
	struct tm local;

	processor_name(place->processor, sizeof(place->processor));
	CPU_ZERO(&processors);
	if (sched_getaffinity(0, sizeof(processors), &processors) == 0) {
		place->n_processors = (unsigned)CPU_COUNT(&processors);
	}
	if (sysinfo(&info) == 0) {
		place->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
	}
	if (uname(&names) == 0) {
		snprintf(place->kernel, sizeof(place->kernel), "%s %s, %s", names.sysname,
			 names.release, names.machine);
	}
	if (getloadavg(&place->load, 1) != 1) {
		place->load = 0;
	}
	if (localtime_r(&now, &local)) {
		strftime(place->began, sizeof(place->began), "%Y-%m-%d %H:%M:%S %z", &local);
	}
	ticks(&first_all, &first_stolen);
}

void bench_place_end(struct bench_place *place)
{
	double all;
	double stolen;

	if (ticks(&all, &stolen) && all > first_all) {
		place->steal = (stolen - first_stolen) / (all - first_all);
	}
}
