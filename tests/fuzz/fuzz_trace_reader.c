/* Any file of any format is read to its end or refused; what comes out is as the header says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/trace_file.h"
#include "sim/trace_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void fail(const char *why)
{
	fprintf(stderr, "fuzz_trace_reader: %s\n", why);
	abort();
}

static void check(const struct trace_request *request, int64_t *last_ns)
{
	char name[TRACE_NAME_MAX];

	if (request->time_ns < *last_ns || request->ttl_ns < 0) {
		fail("a time fell");
	}
	*last_ns = request->time_ns;
	if (request->operation >= TRACE_N_OPERATIONS) {
		fail("no operation");
	}
	if (request->name && request->n_name == 0) {
		fail("an empty key");
	}
	if (trace_name(request, name) != strlen(name) || strpbrk(name, " \t\r\n")) {
		fail("no key for memcached");
	}
}

/* The bytes as they are, or as a recording whose header has come so far. */
static int file_of(enum trace_format format, const uint8_t *bytes, size_t n)
{
	union {
		struct trace_file file;
		char bytes[TRACE_FILE_HEADER_BYTES];
	} head = { .file.header = { .magic = TRACE_FILE_MAGIC, .format = TRACE_FILE_FORMAT } };
	size_t n_fields = sizeof(head.file) - sizeof(head.file.header);
	int fd = memfd_create("trace", MFD_CLOEXEC);

	if (fd < 0) {
		fail("no file");
	}
	if (format == TRACE_TOWER && n > n_fields) {
		memcpy((char *)&head + sizeof(head.file.header), bytes, n_fields);
		bytes += n_fields;
		n -= n_fields;
		if (write(fd, &head, sizeof(head)) != (ssize_t)sizeof(head)) {
			fail("no file");
		}
	}
	if (write(fd, bytes, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0) {
		fail("no file");
	}
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	enum trace_format format;
	char why[TRACE_WHY_MAX] = "";
	struct trace_reader *reader;
	struct trace_request request;
	enum trace_status status;
	int64_t last_ns = 0;
	size_t n_requests = 0;

	if (n == 0) {
		return 0;
	}
	format = bytes[0] % TRACE_N_FORMATS;
	if (!trace_open_descriptor(&reader, file_of(format, bytes + 1, n - 1), "trace", format,
				   why)) {
		if (*why == '\0') {
			fail("refused without a reason");
		}
		return 0;
	}
	while ((status = trace_next(reader, &request)) == TRACE_REQUEST) {
		check(&request, &last_ns);
		if (++n_requests > n) {
			fail("more requests than bytes");
		}
	}
	if (status == TRACE_BAD && *trace_why(reader) == '\0') {
		fail("bad without a reason");
	}
	trace_close(&reader);
	return 0;
}
