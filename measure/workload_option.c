/* Options of workloads, and a workload in words. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "measure/number.h"
#include "measure/workload.h"

static bool wrong(char *ret_why, const char *why)
{
	snprintf(ret_why, WORKLOAD_WHY_MAX, "%s", why);
	return false;
}

/* Cuts the text at the first of these characters; what follows, or NULL. */
static char *cut_at(char *text, char at)
{
	char *rest = strchr(text, at);

	if (rest) {
		*rest++ = '\0';
	}
	return rest;
}

static bool copy_text(char *ret, size_t n, const char *value)
{
	int used = snprintf(ret, n, "%s", value);

	return used >= 0 && (size_t)used < n;
}

/* --- RANGE[:WEIGHT],... --- */

static bool parse_range(char *text, uint64_t max, struct workload_range *ret)
{
	char *weight = cut_at(text, ':');
	char *high = cut_at(text, '-');
	uint64_t ends[2];

	ret->until = 1;
	if (!number_count(text, 0, max, &ends[0]) ||
	    !number_count(high ? high : text, ends[0], max, &ends[1])) {
		return false;
	}
	ret->low = (uint32_t)ends[0];
	ret->high = (uint32_t)ends[1];
	return !weight || (number_real(weight, 0, 1e9, &ret->until) && ret->until > 0);
}

static bool parse_numbers(const char *value, uint64_t min, uint64_t max,
			  struct workload_numbers *ret, char *ret_why)
{
	struct workload_numbers numbers = { 0 };
	char text[1024];
	char *rest = text;
	double sum = 0;

	if (!copy_text(text, sizeof(text), value)) {
		return wrong(ret_why, "is too long");
	}
	while (rest) {
		char *word = rest;
		struct workload_range *range = &numbers.ranges[numbers.n_ranges];

		rest = cut_at(word, ',');
		if (numbers.n_ranges++ == WORKLOAD_RANGES_MAX) {
			return wrong(ret_why, "has too many parts");
		}
		if (!parse_range(word, max, range) || range->low < min) {
			snprintf(ret_why, WORKLOAD_WHY_MAX,
				 "is not N, N-M or N:WEIGHT,N-M:WEIGHT,... of numbers from %" PRIu64
				 " to %" PRIu64,
				 min, max);
			return false;
		}
		sum += range->until;
		range->until = sum;
	}
	for (unsigned i = 0; i < numbers.n_ranges; i++) {
		numbers.ranges[i].until /= sum;
	}
	*ret = numbers;
	return true;
}

/* --- single options --- */

static bool set_keys(struct workload *workload, const char *value, char *ret_why)
{
	uint64_t n;

	if (!number_count(value, 1, WORKLOAD_KEYS_MAX, &n)) {
		return wrong(ret_why, "is not a number of keys from 1 to 64M");
	}
	workload->n_keys = (uint32_t)n;
	return true;
}

static bool set_hot(struct workload *workload, char *text)
{
	char *requests = cut_at(text, ':');
	char *every = requests ? cut_at(requests, ':') : NULL;

	return every && number_share(text, &workload->hot_keys) && workload->hot_keys > 0 &&
	       number_share(requests, &workload->hot_requests) &&
	       number_time_ns(every, 1, INT64_MAX / 2, &workload->hot_every_ns);
}

static bool set_popularity(struct workload *workload, const char *value, char *ret_why)
{
	char text[128];
	char *rest;

	if (copy_text(text, sizeof(text), value)) {
		rest = cut_at(text, ':');
		if (strcmp(text, "uniform") == 0 && !rest) {
			workload->popularity = WORKLOAD_UNIFORM;
			return true;
		}
		if (strcmp(text, "zipf") == 0 && rest &&
		    number_real(rest, 0, 20, &workload->exponent)) {
			workload->popularity = WORKLOAD_ZIPF;
			return true;
		}
		if (strcmp(text, "hot") == 0 && rest && set_hot(workload, rest)) {
			workload->popularity = WORKLOAD_HOT;
			return true;
		}
	}
	return wrong(ret_why, "is neither uniform nor zipf:EXPONENT (0 to 20) nor "
			      "hot:KEYS%:REQUESTS%:TIME (hot:1%:90%:10s)");
}

static bool set_scan(struct workload *workload, const char *value, char *ret_why)
{
	char text[128];
	char *length;
	uint64_t n = workload->scan_length;

	if (!copy_text(text, sizeof(text), value)) {
		return wrong(ret_why, "is too long");
	}
	length = cut_at(text, ':');
	if (!number_share(text, &workload->scans) || workload->scans >= 1 ||
	    (length && !number_count(length, 1, WORKLOAD_KEYS_MAX, &n))) {
		return wrong(ret_why, "is not PERCENT%[:KEYS] below 100 % (5%:1000)");
	}
	workload->scan_length = (uint32_t)n;
	return true;
}

static bool set_mix(struct workload *workload, const char *value, char *ret_why)
{
	double weights[WORKLOAD_OPERATIONS] = { 0 };
	double sum = 0;
	char text[256];
	char *rest = text;

	if (!copy_text(text, sizeof(text), value)) {
		rest = NULL;
	}
	while (rest) {
		char *word = rest;
		char *weight;
		unsigned i = 0;

		rest = cut_at(word, ',');
		weight = cut_at(word, '=');
		while (i < WORKLOAD_OPERATIONS && strcmp(word, workload_operation_names[i]) != 0) {
			i++;
		}
		if (i == WORKLOAD_OPERATIONS || !weight || weights[i] > 0 ||
		    !number_real(weight, 0, 1e9, &weights[i])) {
			sum = 0;
			break;
		}
		sum += weights[i];
	}
	if (!(sum > 0)) {
		return wrong(ret_why, "is not get=WEIGHT,set=WEIGHT,delete=WEIGHT (get=90,set=10)");
	}
	for (unsigned i = 0; i < WORKLOAD_OPERATIONS; i++) {
		workload->until[i] = (i ? workload->until[i - 1] : 0) + weights[i] / sum;
	}
	workload->until[WORKLOAD_OPERATIONS - 1] = 1;
	return true;
}

static bool set_values(struct workload *workload, const char *value, char *ret_why)
{
	/* A value says which one it is. */
	return parse_numbers(value, 16, WORKLOAD_VALUE_MAX, &workload->values, ret_why);
}

static bool set_widths(struct workload *workload, const char *value, char *ret_why)
{
	return parse_numbers(value, 1, WORKLOAD_WIDTH_MAX, &workload->widths, ret_why);
}

static bool set_expiries(struct workload *workload, const char *value, char *ret_why)
{
	return parse_numbers(value, 0, WORKLOAD_EXPIRY_MAX, &workload->expiries, ret_why);
}

static bool set_rate(struct workload *workload, const char *value, char *ret_why)
{
	if (!number_real(value, 0, 1e9, &workload->rate)) {
		return wrong(ret_why, "is not a number of requests a second (0: closed loop)");
	}
	return true;
}

static bool set_word(const char *value, const char *no, const char *yes, bool *ret, char *ret_why)
{
	if (strcmp(value, no) != 0 && strcmp(value, yes) != 0) {
		snprintf(ret_why, WORKLOAD_WHY_MAX, "is neither %s nor %s", no, yes);
		return false;
	}
	*ret = strcmp(value, yes) == 0;
	return true;
}

static bool set_arrivals(struct workload *workload, const char *value, char *ret_why)
{
	return set_word(value, "even", "poisson", &workload->poisson, ret_why);
}

static bool set_fill(struct workload *workload, const char *value, char *ret_why)
{
	return set_word(value, "none", "all", &workload->fills, ret_why);
}

static bool set_misses(struct workload *workload, const char *value, char *ret_why)
{
	return set_word(value, "leave", "set", &workload->refills, ret_why);
}

static bool set_miss_time(struct workload *workload, const char *value, char *ret_why)
{
	if (!number_time_ns(value, 0, INT64_C(60000000000), &workload->miss_ns)) {
		return wrong(ret_why, "is not a time (2ms) up to a minute");
	}
	return true;
}

static bool set_seed(struct workload *workload, const char *value, char *ret_why)
{
	if (!number_count(value, 0, UINT64_MAX, &workload->seed)) {
		return wrong(ret_why, "is not a whole number");
	}
	return true;
}

static const struct option {
	const char *name;
	bool (*set)(struct workload *workload, const char *value, char *ret_why);
} options[] = {
	{ "keys", set_keys },		{ "popularity", set_popularity },
	{ "scan", set_scan },		{ "mix", set_mix },
	{ "values", set_values },	{ "mget", set_widths },
	{ "expiry", set_expiries },	{ "rate", set_rate },
	{ "arrivals", set_arrivals },	{ "fill", set_fill },
	{ "misses", set_misses },	{ "seed", set_seed },
	{ "miss-time", set_miss_time },
};

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].name, name) == 0) {
			return &options[i];
		}
	}
	return NULL;
}

bool workload_has_option(const char *name)
{
	return find_option(name) != NULL;
}

bool workload_option(struct workload *workload, const char *name, const char *value, char *ret_why)
{
	struct workload changed = *workload;
	const struct option *option = find_option(name);

	if (!option) {
		return wrong(ret_why, "is no option of a workload");
	}
	if (!option->set(&changed, value, ret_why)) {
		return false;
	}
	*workload = changed;
	return true;
}

/* --- in words --- */

struct words {
	char *text;
	size_t n;
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) say(struct words *words, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(words->text + words->used, words->n - words->used, format, args);
	va_end(args);
	words->used += n > 0 ? (size_t)n : 0;
	words->used = words->used < words->n ? words->used : words->n - 1;
}

static void say_numbers(struct words *words, const struct workload_numbers *numbers)
{
	double before = 0;

	for (unsigned i = 0; i < numbers->n_ranges; i++) {
		const struct workload_range *range = &numbers->ranges[i];

		say(words, "%s%" PRIu32, i ? ", " : "", range->low);
		if (range->high != range->low) {
			say(words, " to %" PRIu32, range->high);
		}
		if (numbers->n_ranges > 1) {
			say(words, " (%.3g %%)", 100 * (range->until - before));
		}
		before = range->until;
	}
}

static void say_popularity(struct words *words, const struct workload *workload)
{
	switch (workload->popularity) {
	case WORKLOAD_UNIFORM:
		say(words, "all equally often");
		break;
	case WORKLOAD_ZIPF:
		say(words, "Zipf with exponent %g", workload->exponent);
		break;
	case WORKLOAD_HOT:
		say(words, "%g %% of the requests to a hot set of %g %%, which moves every %g s",
		    100 * workload->hot_requests, 100 * workload->hot_keys,
		    (double)workload->hot_every_ns / 1e9);
		break;
	case WORKLOAD_STREAM:
		say(words, "as the stream of requests has them");
		break;
	}
	if (workload->scans > 0) {
		say(words, "; %g %% of the requests are scans of %" PRIu32 " keys",
		    100 * workload->scans, workload->scan_length);
	}
}

static void say_mix(struct words *words, const struct workload *workload)
{
	double before = 0;

	if (workload->popularity == WORKLOAD_STREAM) {
		say(words, "; operations of the stream");
		return;
	}
	for (unsigned i = 0; i < WORKLOAD_OPERATIONS; i++) {
		double share = workload->until[i] - before;

		if (share > 1e-9) {
			say(words, "%s%.3g %% %s", i ? ", " : "; ", 100 * share,
			    workload_operation_names[i]);
		}
		before = workload->until[i];
	}
}

static bool is_always(const struct workload_numbers *numbers, uint32_t number)
{
	return numbers->n_ranges == 1 && numbers->ranges[0].low == number &&
	       numbers->ranges[0].high == number;
}

void workload_describe(const struct workload *workload, char *ret_text, size_t n)
{
	struct words words = { ret_text, n, 0 };

	say(&words, "%" PRIu32 " keys, ", workload->n_keys);
	say_popularity(&words, workload);
	say_mix(&words, workload);
	say(&words, "; values of ");
	say_numbers(&words, &workload->values);
	say(&words, " bytes");
	if (!is_always(&workload->widths, 1)) {
		say(&words, "; reads of ");
		say_numbers(&words, &workload->widths);
		say(&words, " keys");
	}
	if (!is_always(&workload->expiries, 0)) {
		say(&words, "; expiry after ");
		say_numbers(&words, &workload->expiries);
		say(&words, " s");
	}
	if (workload->rate > 0) {
		say(&words, "; open loop, %g requests a second, %s", workload->rate,
		    workload->poisson ? "at random (Poisson)" : "evenly");
	} else {
		say(&words, "; closed loop");
	}
	say(&words, "; %s; what was missed ",
	    workload->fills ? "all keys are written before" : "nothing is written before");
	if (!workload->refills) {
		say(&words, "is left missing");
	} else if (workload->miss_ns) {
		say(&words, "comes from elsewhere in %g ms and is written",
		    (double)workload->miss_ns / 1e6);
	} else {
		say(&words, "is written");
	}
}
