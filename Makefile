# Builds, tests and installs the C library, the simulator and the outbox: make, make check, make bench, make install,
# make uninstall, make simulator, make install-simulator, make outbox, make install-outbox, make test-tools, make dist,
# make doc, make header, make clean.

CARGO ?= cargo
CC ?= cc
CXX ?= c++
CFLAGS ?= -O2
CXXFLAGS ?= -O2
RUSTC ?= rustc
DOXYGEN ?= doxygen

# The folders that `make install` writes to. DESTDIR, if set, is put before each of them.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
# Only for Windows, whose programs look for a DLL beside themselves and in PATH.
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
CMAKEDIR ?= $(LIBDIR)/cmake/hookmyapp
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/hookmyapp

# The optimisation level; the default is "s". Level 3 applies only to the packages that a send runs through: a send
# takes a fifth fewer instructions, and the library is a quarter of a megabyte larger. With 3 for all packages the
# library is half a megabyte larger, and a send is not faster. Any other level applies to the whole build.
OPT_LEVEL ?=
SEND_PACKAGES := hookmyapp ureq ureq-proto http httparse bytes

# The target to build for, such as s390x-unknown-linux-gnu; CC is then its compiler. Empty for this machine.
TARGET ?= $(CARGO_BUILD_TARGET)
# The compiler whose linker and binutils hide symbols; for when cargo-zigbuild links, which CC would prevent.
BINUTILS_CC ?= $(CC)
# The libraries to build and install. A musl program is fully static.
LIBRARIES ?= $(if $(findstring -musl,$(TARGET)),static,static shared)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# While the version is 0.x, each minor version has its own ABI.
SOVERSION := $(shell echo $(VERSION) | sed 's/^\(0\.[0-9]*\)\..*/\1/; s/^\([1-9][0-9]*\)\..*/\1/')

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# cargo-zigbuild accepts a glibc version after the target. It is not part of the folder's name.
TRIPLE := $(shell echo "$(TARGET)" | sed 's/\.[0-9][0-9.]*$$//')
RELEASE := $(TARGET_DIR)/$(if $(TRIPLE),$(TRIPLE)/)release
BENCH := $(TARGET_DIR)/bench
COMPILE_BENCH = $(CC) $(CPPFLAGS) $(CFLAGS)
STATIC := $(RELEASE)/libhookmyapp.a

# The system of the target decides about the names of the files, not the machine that builds.
SYSTEM := $(if $(TARGET),$(if $(findstring -apple-,$(TARGET)),Darwin,$(if $(findstring -windows-,$(TARGET)),Windows)),$(patsubst \
    MINGW%,Windows,$(patsubst MSYS%,Windows,$(shell uname -s))))
EXE := $(if $(filter Windows,$(SYSTEM)),.exe)
SIMULATOR := $(RELEASE)/hookmyapp-simulator$(EXE)
OUTBOX := $(RELEASE)/hookmyapp-outbox$(EXE)

ifeq ($(SYSTEM),Darwin)
SHARED := $(RELEASE)/libhookmyapp.dylib
SHARED_NAME := libhookmyapp.$(VERSION).dylib
SHARED_SONAME := libhookmyapp.$(SOVERSION).dylib
SHARED_FLAGS := -Wl,-install_name,@rpath/$(SHARED_SONAME)
PRIVATE_LIBS := -framework CoreFoundation -liconv -lSystem -lc -lm
else ifeq ($(SYSTEM),Windows)
SHARED := $(RELEASE)/hookmyapp.dll
SHARED_NAME := hookmyapp.dll
SHARED_SONAME := hookmyapp.dll
# For mingw-w64, made by the linker, and for MSVC.
IMPORT := $(RELEASE)/libhookmyapp.dll.a
IMPORT_MSVC := $(RELEASE)/hookmyapp.lib
IMPORT_LIBRARIES = $(if $(filter shared,$(LIBRARIES)),CC="$(CC)" sh packaging/import-library.sh $(SHARED_NAME) $(IMPORT_MSVC))
# Loaded at a random address, with data that cannot run; without the time, so that the same sources give the same file.
SHARED_FLAGS := -Wl,--dynamicbase,--nxcompat,--high-entropy-va,--no-insert-timestamp
PRIVATE_LIBS := -lbcrypt -ladvapi32 -lkernel32 -lntdll -luserenv -lws2_32 -ldbghelp
else
SHARED := $(RELEASE)/libhookmyapp.so
SHARED_NAME := libhookmyapp.so.$(VERSION)
HIDE_SYMBOLS = $(if $(filter static,$(LIBRARIES)),CC="$(BINUTILS_CC)" sh packaging/hide-symbols.sh $(STATIC) $(UNWINDER))
# Rust's own unwinder for musl: the one of a C compiler is often made for another C library.
UNWINDER = $(if $(findstring -musl,$(TRIPLE)),$(wildcard \
    $(shell $(RUSTC) --print target-libdir --target $(TRIPLE) 2>/dev/null)/self-contained/libunwind.a))
# Safe only because the symbols are hidden: otherwise the static library would clash with other Rust static libraries.
LTO := --config 'profile.release.lto="fat"'
SHARED_SONAME := libhookmyapp.so.$(SOVERSION)
# The library must stay loaded after dlclose(), because Rust's thread-local destructors are part of it.
SHARED_FLAGS := -Wl,-soname,$(SHARED_SONAME),-z,nodelete
# The libraries that rustc reports for the static library; a test compares.
PRIVATE_LIBS := -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
LINK_SONAME = $(if $(filter shared,$(LIBRARIES)),ln -sf libhookmyapp.so $(RELEASE)/$(SHARED_SONAME))
endif

MANUAL := $(TARGET_DIR)/manual

INSTALL = PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" LIBDIR="$(LIBDIR)" BINDIR="$(BINDIR)" INCLUDEDIR="$(INCLUDEDIR)" \
    CMAKEDIR="$(CMAKEDIR)" MANDIR="$(MANDIR)" DOCDIR="$(DOCDIR)" VERSION="$(VERSION)" SOVERSION="$(SOVERSION)" \
    STATIC="$(if $(filter static,$(LIBRARIES)),$(STATIC))" SHARED="$(if $(filter shared,$(LIBRARIES)),$(SHARED))" \
    SHARED_NAME="$(SHARED_NAME)" SHARED_SONAME="$(SHARED_SONAME)" PRIVATE_LIBS="$(PRIVATE_LIBS)" \
    IMPORT="$(if $(filter shared,$(LIBRARIES)),$(IMPORT))" IMPORT_MSVC="$(if $(filter shared,$(LIBRARIES)),$(IMPORT_MSVC))" \
    sh packaging/install.sh

comma := ,
empty :=
CRATE_TYPES := $(subst $(empty) $(empty),$(comma),$(patsubst shared,cdylib,$(patsubst static,staticlib,$(LIBRARIES))))
OPTIMISATION := $(if $(filter 3,$(OPT_LEVEL)),\
    $(foreach package,$(SEND_PACKAGES),--config profile.release.package.$(package).opt-level=3),\
    $(if $(OPT_LEVEL),--config profile.release.opt-level=$(OPT_LEVEL)))
CARGO_FLAGS := $(LTO) $(OPTIMISATION) --release --lib --features capi,quiet --crate-type $(CRATE_TYPES)$(if $(TARGET), --target $(TARGET))
# If CC is not set, cargo chooses the linker: from its settings, or by cargo-zigbuild.
LINKER = $(if $(TARGET),$(if $(filter-out default,$(origin CC)), -C linker=$(CC)))
RUSTC_FLAGS := $(if $(filter shared,$(LIBRARIES)),-C link-arg=$(SHARED_FLAGS))$(LINKER)

# The built files name no folder of this machine, and are the same wherever they are built: panic messages would name
# cargo's home, and the source of the standard library where that is installed. rustc uses the last entry that matches.
CARGO_HOME_FOLDER := $(or $(CARGO_HOME),$(HOME)/.cargo)
RUST_SOURCE = $(shell $(RUSTC) --print sysroot)/lib/rustlib/src/rust
RUST_COMMIT = $(shell $(RUSTC) -vV | sed -n 's/^commit-hash: //p')
# A folder whose name has a space is left out: RUSTFLAGS separates words by spaces.
remap = $(if $(word 2,$(1)),,--remap-path-prefix=$(1)=$(2))
REMAP = $(strip $(call remap,$(CURDIR),/hookmyapp) $(call remap,$(abspath $(TARGET_DIR)),/target) \
    $(call remap,$(CARGO_HOME_FOLDER),/cargo) $(call remap,$(RUST_SOURCE),/rustc/$(RUST_COMMIT)))
# The static library for Windows keeps what a debugger needs of ring's C code. The compiler reads the flags of its target.
ifneq ($(findstring -windows-gnu,$(TRIPLE)),)
C_FLAGS := CFLAGS_$(subst -,_,$(TRIPLE))
REMAP_C = $(C_FLAGS)="$(strip $(subst --remap-path-prefix=,-ffile-prefix-map=,$(REMAP)) $($(C_FLAGS)) \
    $(if $(filter environment,$(origin CFLAGS)),$(CFLAGS)))"
endif
# Added to the flags of the user: to RUSTFLAGS if that is set, else to those in the settings of cargo.
RUST_FLAGS = $(if $(RUSTFLAGS),RUSTFLAGS,CARGO_BUILD_RUSTFLAGS)
REMAPPED_CARGO = $(REMAP_C) $(RUST_FLAGS)="$(REMAP) $($(RUST_FLAGS))" $(CARGO)

# The first word of a command, if that program is missing.
missing_tool = $(if $(shell command -v $(firstword $(1)) 2>/dev/null),,$(firstword $(1)))
# Checks of the target: cargo would report an error for every crate.
unknown_target = $(if $(TRIPLE),$(if $(shell $(RUSTC) --print target-list 2>/dev/null | grep -x '$(TRIPLE)'),,yes))
std_missing = $(if $(TRIPLE),$(if $(findstring build-std,$(CARGO)),,$(if $(wildcard \
    $(shell $(RUSTC) --print target-libdir --target $(TRIPLE) 2>/dev/null)/libstd-*.rlib),,yes)))

define check_tools
$(if $(call missing_tool,$(CARGO)),$(error $(firstword $(CARGO)) is missing: install Rust 1.85 or later))
$(if $(call missing_tool,$(CC)),$(error the C compiler $(firstword $(CC)) is missing: install one, or say which: make CC=...))
$(if $(unknown_target),$(error unknown target $(TARGET): `rustc --print target-list` names all))
$(if $(std_missing),$(error Rust has no standard library for $(TRIPLE) here: rustup target add $(TRIPLE)))
endef

.PHONY: all check check-sanitizers fuzz bench doc install uninstall print-config simulator install-simulator outbox \
    install-outbox test-tools dist header clean

# Always runs cargo, which knows what to build again.
all:
	$(check_tools)
	$(REMAPPED_CARGO) rustc $(CARGO_FLAGS) -- $(RUSTC_FLAGS)
	$(HIDE_SYMBOLS)
	cp include/hookmyapp.h include/hookmyapp.hpp $(RELEASE)/
	$(IMPORT_LIBRARIES)
	$(LINK_SONAME)

# Installs the files that `make` built, so that root needs no cargo. Builds them first if they are missing.
install: $(if $(wildcard $(if $(filter shared,$(LIBRARIES)),$(SHARED),$(STATIC))),,all)
	@$(INSTALL) install

uninstall:
	@$(INSTALL) uninstall

# For packaging/cmake/CMakeLists.txt: the files that `make` builds, and the libraries that the static library needs.
print-config:
	@$(INSTALL) print-config

# Compiles the C and C++ examples and the test programs, static and shared, and runs them against a local gateway.
check: all
	HMA_LIBRARY_DIR="$(abspath $(RELEASE))" CC="$(CC)" CXX="$(CXX)" HMA_CFLAGS="$(CFLAGS)" \
	HMA_CXXFLAGS="$(CXXFLAGS)" HMA_LDFLAGS="$(LDFLAGS)" $(CARGO) test --test ffi -- null:: programs:: send_example::

# Runs the C and C++ programs with AddressSanitizer in the library and the programs, and UndefinedBehaviorSanitizer in
# the programs. Needs a nightly Rust.
SANITIZED := $(TARGET_DIR)/sanitizers
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
SANITIZERS := -g -fsanitize=address,undefined -fno-sanitize-recover=all
check-sanitizers:
	RUSTFLAGS=-Zsanitizer=address $(CARGO) +nightly rustc --release --lib --features capi,quiet --crate-type staticlib,cdylib \
	    --target $(HOST) --target-dir $(SANITIZED) -- -C link-arg=$(SHARED_FLAGS)
	cp include/hookmyapp.h include/hookmyapp.hpp $(SANITIZED)/$(HOST)/release/
	ln -sf libhookmyapp.so $(SANITIZED)/$(HOST)/release/libhookmyapp.so.$(SOVERSION)
	HMA_LIBRARY_DIR="$(abspath $(SANITIZED)/$(HOST)/release)" HMA_CFLAGS="$(SANITIZERS)" \
	HMA_CXXFLAGS="$(SANITIZERS)" HMA_LDFLAGS="-fsanitize=address,undefined" $(CARGO) test --test ffi -- null:: programs::every programs::eight_threads send_example::send_examples --skip valgrind --skip two_units

# Runs each fuzz target for FUZZ_SECONDS from the saved seeds. Needs cargo-fuzz and a nightly Rust.
FUZZ_SECONDS ?= 20
FUZZ_OPTIONS ?= -max_total_time=$(FUZZ_SECONDS)
FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs)))
fuzz:
	for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(TARGET_DIR)/corpus/$$target && \
	    $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target $(TARGET_DIR)/corpus/$$target tests/fuzz/seeds/$$target \
	        -- $(FUZZ_OPTIONS) || exit 1; \
	done

# Compares a send with bare sockets, plain ureq and, if installed, libcurl with cJSON: benches/README.md.
bench: all
	mkdir -p $(BENCH)
	CARGO_TARGET_DIR=$(BENCH)/fast $(MAKE) all OPT_LEVEL=3
	$(COMPILE_BENCH) -Iinclude benches/c/hookmyapp.c $(STATIC) $(LDFLAGS) $(PRIVATE_LIBS) -o $(BENCH)/hookmyapp
	$(COMPILE_BENCH) -Iinclude benches/c/hookmyapp.c $(BENCH)/fast/release/libhookmyapp.a $(LDFLAGS) $(PRIVATE_LIBS) \
	    -o $(BENCH)/hookmyapp-fast
	$(COMPILE_BENCH) benches/c/libcurl.c $(LDFLAGS) -lcurl -lcjson -o $(BENCH)/libcurl || { rm -f $(BENCH)/libcurl; \
	    echo "libcurl and cJSON are left out. Debian: apt-get install libcurl4-openssl-dev libcjson-dev"; }
	HMA_BENCH_C_PROGRAMS="$(abspath $(BENCH))" $(CARGO) bench --bench sends

# Builds the gateway that runs on this machine: docs/simulator.md.
simulator:
	$(check_tools)
	$(REMAPPED_CARGO) build --locked --release --manifest-path tools/simulator/Cargo.toml --target-dir $(TARGET_DIR) \
	    $(if $(TARGET),--target $(TARGET))

# Takes what `make simulator` has built, so that root needs no cargo; builds it if it is not there.
install-simulator: $(if $(wildcard $(SIMULATOR)),,simulator)
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 $(SIMULATOR) "$(DESTDIR)$(PREFIX)/bin/"

# Whether the outbox is built with PostgreSQL: yes if libpq is installed; `make outbox POSTGRES=` leaves it out.
POSTGRES ?= $(if $(TARGET),,$(shell { pkg-config --exists libpq || pg_config --libdir; } >/dev/null 2>&1 && echo yes))

# Builds the durable queue: tools/outbox/README.md. It needs Rust 1.89.
outbox:
	$(check_tools)
	$(REMAPPED_CARGO) build --locked --release --manifest-path tools/outbox/Cargo.toml --target-dir $(TARGET_DIR) \
	    $(if $(POSTGRES),--features postgres) $(if $(TARGET),--target $(TARGET))
	$(if $(POSTGRES),,@echo "built without PostgreSQL, which needs libpq. Debian: apt-get install libpq-dev")

install-outbox: $(if $(wildcard $(OUTBOX)),,outbox)
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 $(OUTBOX) "$(DESTDIR)$(PREFIX)/bin/"

# The tests of everything in tools/: each is a package of its own. A tool's feature `postgres` is tested where libpq is.
test-tools:
	if [ -z "$(POSTGRES)" ]; then \
	    echo "libpq is missing, so PostgreSQL is not tested. Debian: apt-get install libpq-dev"; \
	    [ -z "$$HMA_REQUIRE_TOOLS" ] || exit 1; \
	fi
	for manifest in tools/*/Cargo.toml; do \
	    features=$$(sed -n '$(if $(POSTGRES),s/^postgres = .*/--features postgres/p)' $$manifest) && \
	    $(CARGO) test --locked --manifest-path $$manifest --target-dir $(TARGET_DIR) $$features || exit 1; \
	done

# Makes the archives of a release in DIST from the commit DIST_COMMIT, for each of DIST_TARGETS: RELEASING.md.
DIST ?= $(TARGET_DIR)/dist
DIST_COMMIT ?= HEAD
DIST_TARGETS ?= x86_64-unknown-linux-gnu.2.17 aarch64-unknown-linux-gnu.2.17 x86_64-unknown-linux-musl \
    aarch64-unknown-linux-musl x86_64-pc-windows-gnu
dist:
	@MAKE="$(MAKE)" CARGO="$(CARGO)" BUILD="$(abspath $(TARGET_DIR))/dist-build" sh packaging/dist.sh "$(abspath $(DIST))" \
	    "$(DIST_COMMIT)" $(DIST_TARGETS)

# Writes the manual of both headers as HTML: target/manual/html/index.html.
doc:
	$(if $(call missing_tool,$(DOXYGEN)),$(error $(DOXYGEN) is missing: install Doxygen))
	@mkdir -p $(MANUAL)
	@MANUAL="$(MANUAL)" VERSION="$(VERSION)" $(DOXYGEN) docs/Doxyfile
	@echo "wrote $(MANUAL)/html/index.html"

# Writes include/hookmyapp.h and include/hookmyapp.cdef.h from the sources.
header:
	HMA_UPDATE_HEADER=1 $(CARGO) test --test ffi -- header::

clean:
	$(CARGO) clean
