#include "tests/coherence/variant.h"

#include <string.h>

const struct variant variants[] = {
	{ "get", 0, READS_GET, 16, 4, 200, "s", "1h", 50, 1.5 },
	{ "ttl", 0, READS_GET, 16, 4, 200, "ssd", NULL, 40, 1.5 },
	{ "hot", 0, READS_GET, 2, 5, 10, "s", "1h", 1, 1.5 },
	{ "fetch-result", 0, READS_FETCH_RESULT, 16, 4, 50, "sssd", "1h", 50, 1.2 },
	{ "fetch", 0, READS_FETCH, 16, 4, 50, "sssd", "1h", 50, 1.2 },
	{ "aliases", VARIANT_ALIASES, READS_GET, 16, 4, 200, "sssd", "1h", 50, 1.2 },
	{ "binary", VARIANT_BINARY, READS_GET, 16, 4, 200, "sssd", "1h", 50, 1.2 },
	{ "verbs", VARIANT_BINARY | VARIANT_ALIASES, READS_GET, 8, 4, 20, "sarccd", "1h", 10, 1.2 },
	{ "counter", VARIANT_BINARY | VARIANT_COUNTERS, READS_GET, 8, 4, 100, "i", "1h", 50, 1 },
	{ "unconfirmed", VARIANT_UNCONFIRMED, READS_GET, 32, 4, 100, "ssd", "1h", 0, 2 },
	{ "kill", VARIANT_KILLS, READS_GET, 16, 4, 30, "sssd", "1h", 0, 2 },
	{ "stop", VARIANT_STOPS, READS_GET, 8, 5, 30, "sssd", "1h", 0, 2.5 },
	{ "hang", VARIANT_HANGS, READS_GET, 32, 4, 100, "sssd", "1h", 0, 2 },
	{ "switch", VARIANT_SWITCHES, READS_GET, 16, 4, 100, "sssd", "1h", 5, 2.5 },
	{ "flush", VARIANT_FLUSHES, READS_GET, 16, 4, 100, "sssd", "1h", 0, 1.2 },
	{ "flush-later", VARIANT_FLUSHES_LATER, READS_GET, 16, 4, 100, "sssd", "1h", 0, 4 },
	{ "expiry", VARIANT_EXPIRIES, READS_GET, 60, 4, 20, "ssssssd", "1h", 0, 5 },
	{ "expiry-stop", VARIANT_EXPIRIES | VARIANT_STOPS, READS_GET, 60, 5, 20, "s", "1h", 0, 5 },
	{ "expiry-unconfirmed", VARIANT_EXPIRIES | VARIANT_UNCONFIRMED, READS_GET, 60, 4, 20, "s",
	  "1h", 0, 5 },
	{ "expiry-kill", VARIANT_EXPIRIES | VARIANT_KILLS, READS_GET, 60, 4, 20, "s", "1h", 0, 5 },
	{ "languages", VARIANT_LANGUAGES, READS_GET, 8, 5, 50, "ssd", "10s", 20, 1.5 },
	{ "deep", VARIANT_DEEP, READS_GET, 16, 4, 4, "sssardc", "5ms", 0, 3 },
	{ "deep-hot", VARIANT_DEEP, READS_GET, 2, 5, 3, "sssardc", "5ms", 0, 2 },
	{ "deep-fetch", VARIANT_DEEP | VARIANT_BINARY, READS_FETCH_RESULT, 8, 4, 3, "sssardc",
	  "5ms", 0, 2 },
	{ "deep-unconfirmed", VARIANT_DEEP | VARIANT_UNCONFIRMED, READS_GET, 32, 4, 10, "ssd",
	  "5ms", 0, 2 },
	{ "deep-flush", VARIANT_DEEP | VARIANT_FLUSHES, READS_GET, 16, 4, 10, "sssd", "5ms", 0, 2 },
	{ "deep-switch", VARIANT_DEEP | VARIANT_SWITCHES, READS_GET, 16, 4, 10, "sssardc", "5ms", 0,
	  2.5 },
	{ "deep-kill", VARIANT_DEEP | VARIANT_KILLS, READS_GET, 8, 4, 4, "sssardc", "5ms", 0, 3 },
	{ "deep-troubles", VARIANT_DEEP | VARIANT_TROUBLES, READS_GET, 60, 4, 60, "sssd", "5ms", 0,
	  4 },
	{ "deep-chaos", VARIANT_DEEP | VARIANT_TROUBLES | VARIANT_KILLS | VARIANT_STOPS, READS_GET,
	  16, 5, 4, "sssardc", "5ms", 0, 6 },
	{ "deep-domains",
	  VARIANT_DEEP | VARIANT_DOMAINS | VARIANT_TROUBLES | VARIANT_KILLS | VARIANT_STOPS,
	  READS_GET, 60, 6, 1, "sssardc", NULL, 0, 15 },
	{ 0 },
};

const struct variant *variant_find(const char *name)
{
	for (const struct variant *v = variants; v->name; v++) {
		if (strcmp(v->name, name) == 0) {
			return v;
		}
	}
	return NULL;
}
