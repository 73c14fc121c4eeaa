# What a C programmer types: make, make check, make header, make clean.

CARGO ?= cargo
CC ?= cc
CXX ?= c++
CFLAGS ?= -O2
CXXFLAGS ?= -O2

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# While the version is 0.x, each minor version has an interface of its own.
SOVERSION := $(shell echo $(VERSION) | sed 's/^\(0\.[0-9]*\)\..*/\1/; s/^\([1-9][0-9]*\)\..*/\1/')

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release
CHECK := $(TARGET_DIR)/check
STATIC := $(RELEASE)/libhookmyapp.a

ifeq ($(shell uname -s),Darwin)
SHARED := $(RELEASE)/libhookmyapp.dylib
SONAME_FLAG := -Wl,-install_name,@rpath/libhookmyapp.$(SOVERSION).dylib
PRIVATE_LIBS := -framework CoreFoundation -liconv -lSystem -lc -lm
else
SHARED := $(RELEASE)/libhookmyapp.so
# Rust's thread-local destructors must not lose their code, so that the library stays loaded after dlclose().
SONAME_FLAG := -Wl,-soname,libhookmyapp.so.$(SOVERSION),-z,nodelete
# What rustc reports for the static library; a test compares.
PRIVATE_LIBS := -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
endif

.PHONY: all check check-sanitizers fuzz header clean

# Cargo knows best what has to be built again.
all:
	$(CARGO) rustc --release --lib --features capi --crate-type staticlib,cdylib -- -C link-arg=$(SONAME_FLAG)
	cp include/hookmyapp.h include/hookmyapp.hpp $(RELEASE)/
ifneq ($(shell uname -s),Darwin)
	ln -sf libhookmyapp.so $(SHARED).$(SOVERSION)
endif

# Compiles the C and C++ examples and the test programs, static and shared, and runs them against a local gateway.
check: all
	HMA_LIBRARY_DIR="$(abspath $(RELEASE))" CC="$(CC)" CXX="$(CXX)" CFLAGS="$(CFLAGS)" CXXFLAGS="$(CXXFLAGS)" \
	LDFLAGS="$(LDFLAGS)" $(CARGO) test --test c_programs

# The C and C++ programs with a library that AddressSanitizer watches, and UndefinedBehaviorSanitizer for C and C++.
# Needs a nightly Rust.
SANITIZED := $(TARGET_DIR)/sanitizers
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
SANITIZERS := -g -fsanitize=address,undefined -fno-sanitize-recover=all
check-sanitizers:
	RUSTFLAGS=-Zsanitizer=address $(CARGO) +nightly rustc --release --lib --features capi --crate-type staticlib,cdylib \
	    --target $(HOST) --target-dir $(SANITIZED) -- -C link-arg=$(SONAME_FLAG)
	cp include/hookmyapp.h include/hookmyapp.hpp $(SANITIZED)/$(HOST)/release/
	ln -sf libhookmyapp.so $(SANITIZED)/$(HOST)/release/libhookmyapp.so.$(SOVERSION)
	HMA_LIBRARY_DIR="$(abspath $(SANITIZED)/$(HOST)/release)" CFLAGS="$(SANITIZERS)" CXXFLAGS="$(SANITIZERS)" \
	LDFLAGS="-fsanitize=address,undefined" $(CARGO) test --test c_programs -- every eight_threads all_of the_examples --skip valgrind --skip two_units

# Each fuzz target for FUZZ_SECONDS from the saved seeds. Needs cargo-fuzz and a nightly Rust.
FUZZ_SECONDS ?= 20
FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs)))
fuzz:
	for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(TARGET_DIR)/corpus/$$target && \
	    $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target $(TARGET_DIR)/corpus/$$target tests/fuzz/seeds/$$target \
	        -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Writes include/hookmyapp.h anew from the sources.
header:
	HMA_UPDATE_HEADER=1 $(CARGO) test --test header

clean:
	$(CARGO) clean
