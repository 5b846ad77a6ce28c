# ngx_http_ivschat_token_module: building, installing, testing.  "make help".
#
# The compiling is nginx's own build system's, driven by t/tools/; only the
# unit tests, which know no nginx, are compiled from here.

MODULE =	objs/ngx_http_ivschat_token_module.so

NGINX ?=	$(shell PATH=$$PATH:/usr/sbin:/sbin command -v nginx || echo nginx)

# nginx says where its modules and its configuration are.

nginx_path =	$(shell $(NGINX) -V 2>&1 | tr ' ' '\n' | sed -n 's/^--$(1)=//p')
MODULES_DIR ?=	$(or $(call nginx_path,modules-path),/usr/lib/nginx/modules)
CONF_DIR ?=	$(dir $(or $(call nginx_path,conf-path),/etc/nginx/nginx.conf))

UNIT_CFLAGS =	-std=gnu11 -Wall -Wextra -Werror -O1 -g			\
		-fsanitize=address,undefined				\
		-fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNIT_LIBS =	-lcjson -lcrypto

# The pure layers are linked without nginx.

PURE =		$(wildcard ngx_module/lib/*.c ngx_module/aws/*.c)
PURE_OBJS =	$(PURE:ngx_module/%.c=objs/unit/obj/%.o)
PURE_INCS =	-Ingx_module
UNIT =		$(patsubst t/unit/%.c,objs/unit/%,$(wildcard t/unit/*_test.c))


# Fuzz targets: by libFuzzer, and their corpora replayed as unit tests.

FUZZ =		$(patsubst t/fuzz/%.c,objs/fuzz/%,$(wildcard t/fuzz/*_fuzz.c))
REPLAY =	$(FUZZ:objs/fuzz/%_fuzz=objs/unit/%_replay)
FUZZED =	$(PURE) ngx_module/creds/ngx_ivschat_url.c
FUZZ_OBJS =	$(FUZZED:ngx_module/%.c=objs/fuzz/obj/%.o)
FUZZ_CFLAGS =	$(UNIT_CFLAGS) -D_GNU_SOURCE
FUZZ_LIBS =	$(UNIT_LIBS) -lcurl
CLANG ?=	clang
SECONDS ?=	60


.PHONY: all module install test unit unit-binaries sanitize check-source
.PHONY: fuzz fuzz-binaries
.PHONY: demo demo-stop clean help

all: module

# Always asked, since only nginx's makefile knows what has changed.

module:
	@t/tools/build-module.sh

install: module
	install -d "$(DESTDIR)$(MODULES_DIR)" "$(DESTDIR)$(CONF_DIR)"
	install -m 644 $(MODULE) "$(DESTDIR)$(MODULES_DIR)/"
	install -m 644 ngx_module/ivschat_params \
	    "$(DESTDIR)$(CONF_DIR)/ivschat_params.default"
	[ -e "$(DESTDIR)$(CONF_DIR)/ivschat_params" ] \
	    || install -m 644 ngx_module/ivschat_params "$(DESTDIR)$(CONF_DIR)"
	@echo "To load it, first in nginx.conf:" \
		"load_module $(MODULES_DIR)/$(notdir $(MODULE));"

test:
	@t/tools/install-deps.sh test
	@t/tools/npm.sh
	@t/tools/build-module.sh
	@t/tools/run-tests.sh $(TESTS)

sanitize:
	@t/tools/install-deps.sh sanitize
	@t/tools/npm.sh
	@t/tools/build-module.sh
	@t/tools/sanitize-selftest.sh
	@t/tools/valgrind.sh
	@t/tools/sanitize.sh $(TESTS)

unit: unit-binaries
	@/usr/bin/python3 -m pytest -q t/unit

unit-binaries: $(UNIT) $(REPLAY)

# SECONDS for each target.  What is found goes to objs/fuzz/, and so do the
# inputs that reach new code.

fuzz:
	@t/tools/install-deps.sh fuzz
	@$(MAKE) -s --no-print-directory fuzz-binaries
	@t/tools/fuzz.sh $(SECONDS) $(FUZZ)

fuzz-binaries: $(FUZZ)

check-source:
	@t/tools/check-source.sh

demo:
	@t/tools/install-deps.sh demo
	@t/tools/build-module.sh
	@[ -n "$$DEMO_ONCE" ] || t/tools/npm.sh				\
	    || echo "npm has failed: the page will do without the chat" >&2
	@t/demo/start.sh

demo-stop:
	@t/demo/stop.sh

clean:
	rm -rf objs t/servroot*

help:
	@echo "make               build $(MODULE)"
	@echo "                   NGINX_SRC=dir  for the nginx of that source"
	@echo "                   tree, NGINX_CONFIGURE_ARGS='--with-...'"
	@echo "make install       put it where nginx looks; DESTDIR=dir"
	@echo "make demo          a chat token from a local service, in a minute;"
	@echo "                   DEMO_ONCE=1  print one and stop"
	@echo "make demo-stop     end it"
	@echo "make test          install what is missing, build, run every test;"
	@echo "                   TESTS='t/010-token.t ...'  only these, JOBS=n"
	@echo "                   SOAK=3600 TESTS=t/system/test_soak.py  for an hour"
	@echo "make sanitize      the tests under ASan and UBSan, and valgrind"
	@echo "make fuzz          every fuzz target for a minute; SECONDS=n"
	@echo "make unit          the unit tests alone"
	@echo "make check-source  the rules for the sources"
	@echo "make clean         remove all that was built"


objs/unit/%_test: t/unit/%_test.c $(PURE_OBJS)
	@mkdir -p objs/unit
	$(CC) $(UNIT_CFLAGS) -MMD -MP -MF $@.d $(PURE_INCS) -It/unit \
		-o $@ $< $(PURE_OBJS) $(UNIT_LIBS)

# The check of URLs is libcurl's, and knows no nginx either.

objs/unit/url_test: t/unit/url_test.c objs/unit/obj/creds/ngx_ivschat_url.o
	@mkdir -p objs/unit
	$(CC) $(UNIT_CFLAGS) -MMD -MP -MF $@.d $(PURE_INCS) -It/unit \
		-o $@ $(filter %.c %.o,$^) -lcurl

objs/unit/obj/%.o: ngx_module/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

objs/unit/%_replay: t/fuzz/%_fuzz.c t/fuzz/replay.c \
		$(FUZZED:ngx_module/%.c=objs/unit/obj/%.o)
	$(CC) $(FUZZ_CFLAGS) -MMD -MP -MF $@.d $(PURE_INCS)		\
		-DTARGET='"$*_fuzz.c"' -DCORPUS='"t/fuzz/corpus/$*"'	\
		-o $@ t/fuzz/replay.c $(filter %.o,$^) $(FUZZ_LIBS)

objs/fuzz/%_fuzz: t/fuzz/%_fuzz.c $(FUZZ_OBJS)
	$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d	\
		$(PURE_INCS) -o $@ $< $(FUZZ_OBJS) $(FUZZ_LIBS)

objs/fuzz/obj/%.o: ngx_module/%.c
	@mkdir -p $(@D)
	$(CLANG) $(UNIT_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(UNIT) $(PURE_OBJS) $(FUZZ) $(FUZZ_OBJS) $(REPLAY): Makefile

.SECONDARY: $(PURE_OBJS) $(FUZZ_OBJS)

-include $(wildcard objs/unit/*.d objs/unit/obj/*/*.d objs/fuzz/*.d	\
		objs/fuzz/obj/*/*.d)
