# tower - build, check, install.  `make help` names the targets.
#
# Variables: CC, DEVELOPER=1 (warnings are errors, assertions on),
# SANITIZE=address,undefined or SANITIZE=thread, BUILD=folder, DESTDIR, PREFIX.

ifeq ($(origin CC),default)
CC       = gcc
endif
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^\#define TOWER_VERSION "\(.*\)"/\1/p' base/version.h)

CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS   ?= -O2 -g
STD       = -std=c11 -fPIC -fno-plt -fvisibility=hidden -fno-semantic-interposition -pthread
WARN      = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wwrite-strings -Wpointer-arith -Wformat=2 -Wundef -Wno-unused-parameter
TLS       = -ftls-model=initial-exec

ifdef DEVELOPER
WARN     += -Werror
CPPFLAGS += -DTOWER_DEVELOPER
else
CPPFLAGS += -DNDEBUG
# What is installed is compiled as a whole: a hit goes through a dozen small functions, of which
# gcc would put what it takes for rare elsewhere.
ifeq ($(SANITIZE)$(findstring gcc,$(CC)),gcc)
STD      += -flto=auto -fno-reorder-blocks-and-partition
# It would clear what is on the stack by "rep stos", which takes longer to begin than to do.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
STD      += -mmemset-strategy=vector_loop:512:noalign,libcall:-1:noalign
endif
endif
endif
# A planted fault, for tests that must notice it (base/fault.def).
ifdef FAULT
CPPFLAGS += -DTOWER_FAULT=$(FAULT)
endif
ifdef SANITIZE
STD      += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS  += -fsanitize=$(SANITIZE)
endif
# gcc warns of every fence, which ThreadSanitizer does not know (base/racy.h).
ifeq ($(SANITIZE)$(findstring clang,$(CC)),thread)
WARN     += -Wno-tsan
endif

CLI_LIBS  = -lmicrohttpd -lncursesw -ltinfo

# hiredis and inih are linked in and hidden: a host's own copies stay its own.
LIBS_STATIC = -l:libhiredis.a -l:libinih.a

BASE   = $(wildcard base/*.c)
LAYERS = $(wildcard layers/*.c)
CORE   = $(wildcard core/*.c)
SHIM   = $(wildcard shim/*.c) $(wildcard shim/*.S)
CLI    = $(wildcard cli/*.c) $(wildcard cli/*.S)
SIM    = $(wildcard sim/*.c)
MEASURE = $(wildcard measure/*.c)
WORKER = $(wildcard measure/worker/*.c)
UNIT   = $(wildcard tests/unit/test_*.c)
FAULTS = $(wildcard tests/faults/test_*.c)
SHIMT  = $(wildcard tests/shim/test_*.c)
SHIMTL = $(filter-out $(SHIMT),$(wildcard tests/shim/*.c))
APPS   = $(wildcard tests/apps/*.c)
TLIB   = $(wildcard tests/lib/*.c)
ULIB   = $(wildcard tests/unit/lib/*.c)
FLIB   = $(wildcard tests/faults/lib/*.c)
FUZZ   = $(wildcard tests/fuzz/fuzz_*.c)

obj    = $(patsubst %,$(BUILD)/obj/%.o,$(basename $(1)))
INNER  = $(call obj,$(BASE) $(LAYERS) $(CORE))
ALLOBJ = $(INNER) $(call obj,$(SHIM) $(CLI) $(SIM) $(MEASURE) $(WORKER) $(TLIB) $(ULIB) $(FLIB) \
            $(UNIT) $(FAULTS) $(SHIMT) $(SHIMTL) \
           $(APPS))

all: $(BUILD)/libtower.so $(BUILD)/tower $(BUILD)/tower-bench-worker

help:
	@echo 'all (default)   $(BUILD)/libtower.so and $(BUILD)/tower'
	@echo 'check           all tests; needs the packages of scripts/deps'
	@echo 'demo            scripts/demo'
	@echo 'bench           the benchmarks of bench/'
	@echo 'bench-traces    hit ratios of the policies over traces of requests'
	@echo 'lint            include rule, clang-tidy, cppcheck, headers compile alone'
	@echo 'format          clang-format over all sources'
	@echo 'install         into $$(DESTDIR)$$(PREFIX); uninstall removes it again'
	@echo 'deb             Debian packages in $(BUILD)/deb; needs those of scripts/deps package'
	@echo 'clean           removes $(BUILD)'
	@echo 'Variables: DEVELOPER=1 SANITIZE=address,undefined|thread CC= BUILD= DESTDIR= PREFIX='

# Other flags than last time rebuild everything.
FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(STD) $(WARN) $(TLS) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(STD) $(WARN) $(TLS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.S $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(STD) -MMD -MP -c -o $@ $<

# The compiler does not say that it is included.
$(BUILD)/obj/cli/page.o: cli/page.html

# Exported is what the table says, and dlopen (shim/dlopen_jump.S).
$(BUILD)/libtower.map: shim/api.def
	@mkdir -p $(@D)
	{ echo '{ global: dlopen;'; sed -n 's/^CALL(\([a-z_]*\),.*/\1;/p' $<; echo 'local: *; };'; } > $@

$(BUILD)/libtower.so: $(INNER) $(call obj,$(SHIM)) $(BUILD)/libtower.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -pthread -Wl,-soname,libtower.so \
		-Wl,--version-script=$(BUILD)/libtower.map -Wl,--exclude-libs,ALL -Wl,-z,relro \
		-Wl,-z,now -Wl,-z,nodelete $(if $(SANITIZE),,-Wl,-z,defs) \
		-o $@ $(filter %.o,$^) $(LIBS_STATIC)

$(BUILD)/tower: $(INNER) $(call obj,$(SIM) $(MEASURE) $(CLI))
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIBS_STATIC) $(CLI_LIBS) -lm

# What `tower bench` measures with: a user of libmemcached like any other.
$(BUILD)/tower-bench-worker: $(call obj,$(WORKER) core/latency.c $(addprefix measure/, \
		board.c number.c value.c workload.c zipf.c))
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) -lmemcached -lm

# Unit and fault tests link everything but the shim; shim tests link libmemcached
# and run bare and preloaded.
$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(INNER) $(call obj,$(SIM) $(MEASURE) $(TLIB) $(ULIB))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIBS_STATIC) -lcmocka -lm

$(BUILD)/tests/faults/%: $(BUILD)/obj/tests/faults/%.o $(INNER) $(call obj,$(TLIB) $(FLIB))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIBS_STATIC) -lcmocka

$(BUILD)/tests/shim/%: $(BUILD)/obj/tests/shim/%.o $(call obj,$(SHIMTL) $(TLIB))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) -lmemcached -lmemcachedutil -lhashkit -lcmocka

# libFuzzer's programs: CC=clang SANITIZE=fuzzer-no-link,address; see tests/fuzz/run.
$(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(INNER) $(call obj,$(SIM) $(ULIB))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS)) -pthread -o $@ $(filter %.o,$^) \
		$(LIBS_STATIC) -lcmocka

fuzzers: $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(FUZZ))

# The litmus test of tests/coherence, a plain program that uses libmemcached.
LITMUS = $(call obj,$(wildcard tests/coherence/*.c))

$(BUILD)/tests/coherence/litmus: $(LITMUS) $(call obj,tests/lib/servers.c)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) -lmemcached

# Hit ratios over traces of requests: bench/traces/run.
REPLAY = $(call obj,bench/traces/replay.c)

$(BUILD)/bench/replay: $(REPLAY) $(INNER) $(call obj,$(SIM))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIBS_STATIC)

-include $(REPLAY:.o=.d)

# Makes traces up.
$(BUILD)/bench/generate: bench/traces/generate.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -O2 -g -std=c11 $(WARN) -o $@ $< -lm

tests: $(BUILD)/bench/generate

tests: $(BUILD)/tests/coherence/litmus
-include $(LITMUS:.o=.d)

# Programs of tests/apps know nothing of tower.
$(BUILD)/tests/apps/%: $(BUILD)/obj/tests/apps/%.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) -lmemcached -lmemcachedutil

# Programs and libraries of tests/guest: hosts of tower, never built with sanitizers.
GUEST_HOST = tests/guest/host.c tests/guest/threads.c tests/guest/processes.c \
             tests/guest/signals.c tests/guest/descriptors.c tests/guest/limits.c \
             tests/guest/privileges.c
GUEST_MADE = $(addprefix $(BUILD)/tests/guest/,host host-asan host-asan-static opener client.so fails.so opens.so)
GUEST_CC   = $(CC) -I. -D_GNU_SOURCE -O2 -g -std=c11 $(WARN) -pthread

$(BUILD)/tests/guest/host: $(GUEST_HOST) tests/guest/host.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(GUEST_CC) -o $@ $(GUEST_HOST) -lmemcached

$(BUILD)/tests/guest/host-asan: $(GUEST_HOST) tests/guest/host.h $(BUILD)/flags
	@mkdir -p $(@D)
	gcc $(filter-out $(CC),$(GUEST_CC)) -fsanitize=address -o $@ $(GUEST_HOST) -lmemcached

$(BUILD)/tests/guest/host-asan-static: $(GUEST_HOST) tests/guest/host.h $(BUILD)/flags
	@mkdir -p $(@D)
	gcc $(filter-out $(CC),$(GUEST_CC)) -fsanitize=address -static-libasan -o $@ $(GUEST_HOST) \
		-lmemcached

$(BUILD)/tests/guest/opener: tests/guest/opener.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(GUEST_CC) -o $@ $<

$(BUILD)/tests/guest/%.so: tests/guest/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(GUEST_CC) -fPIC -shared -o $@ $< $(if $(filter client,$*),-lmemcached)

tests: $(GUEST_MADE)

# The differential test: a driver that is its own workers, plain users of
# libmemcached, and the clock that is preloaded into everybody.
DIFFER_CLOCK = $(call obj,tests/differential/clock.c)
$(DIFFER_CLOCK): private CFLAGS += -foptimize-sibling-calls
DIFFER = $(filter-out $(DIFFER_CLOCK),$(call obj,$(wildcard tests/differential/*.c)))

$(BUILD)/tests/differential/clock.so: $(DIFFER_CLOCK)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $^

$(BUILD)/tests/differential/differential: $(DIFFER) $(call obj,tests/lib/servers.c)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) -lmemcached -lmemcachedutil

tests: $(BUILD)/tests/differential/differential $(BUILD)/tests/differential/clock.so
-include $(DIFFER:.o=.d) $(DIFFER_CLOCK:.o=.d)

TESTS_UNIT   = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT))
TESTS_FAULTS = $(patsubst tests/faults/%.c,$(BUILD)/tests/faults/%,$(FAULTS))
TESTS_SHIM   = $(patsubst tests/shim/%.c,$(BUILD)/tests/shim/%,$(SHIMT))
TESTS_APPS   = $(patsubst tests/apps/%.c,$(BUILD)/tests/apps/%,$(APPS))
TESTS        = $(TESTS_UNIT) $(TESTS_FAULTS) $(TESTS_SHIM) $(TESTS_APPS)

tests: all $(TESTS)

# The programs that run bare and preloaded.
tests-preloaded: all $(TESTS_SHIM) $(TESTS_APPS)

check: tests
	BUILD=$(BUILD) SANITIZE=$(SANITIZE) tests/run

demo:
	scripts/demo

lint:
	scripts/lint

bench: all
	bench/run

bench-traces:
	BUILD=$(BUILD) bench/traces/run

# What is installed, and what uninstall removes: mode:folder:file[:name there].
INSTALLED = 755:bin:$(BUILD)/tower 755:lib/tower:$(BUILD)/libtower.so \
            755:lib/tower:$(BUILD)/tower-bench-worker \
            644:share/man/man1:docs/man/tower.1 644:share/man/man5:docs/man/tower.ini.5 \
            644:share/man/man7:docs/man/libtower.7 \
            644:share/bash-completion/completions:scripts/completion.bash:tower \
            $(addprefix 644:share/doc/tower:,README.md CHANGES.md LICENSE tower.ini.example) \
            $(addprefix 644:share/doc/tower/docs:,$(wildcard docs/*.*)) \
            644:share/doc/tower/bench:bench/README.md \
            $(addprefix 644:share/doc/tower/docs/prometheus:,$(wildcard docs/prometheus/*)) \
            $(addprefix 644:share/doc/tower/docs/grafana:,$(wildcard docs/grafana/*))
part      = $(word $(2),$(subst :, ,$(1)))
installed = '$(DESTDIR)$(PREFIX)/$(call part,$(1),2)/$(notdir $(lastword $(subst :, ,$(1))))'

install: all install-files

# Of what is built, whatever flags it was built with.
install-files:
	$(foreach row,$(INSTALLED),install -D -m $(call part,$(row),1) $(call part,$(row),3) \
		$(call installed,$(row)) &&) true

# Folders that are tower's own go, too, where nothing else is in them.
uninstall:
	rm -f $(foreach row,$(INSTALLED),$(call installed,$(row)))
	for folder in share/doc/tower/docs/prometheus share/doc/tower/docs/grafana \
			share/doc/tower/docs share/doc/tower/bench share/doc/tower lib/tower; do \
		[ ! -d '$(DESTDIR)$(PREFIX)'/$$folder ] || \
			rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(PREFIX)'/$$folder || exit; \
	done

# The Debian source package and what is built from it, in $(BUILD)/deb.
deb:
	BUILD='$(BUILD)' scripts/deb

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

FORCE:
.PHONY: all help tests tests-preloaded fuzzers check demo bench bench-traces lint format install install-files \
	uninstall deb clean FORCE
.SECONDARY:
-include $(ALLOBJ:.o=.d) $(patsubst %.c,$(BUILD)/obj/%.d,$(FUZZ))
