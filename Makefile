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

.PHONY: all check header clean

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

# Writes include/hookmyapp.h anew from the sources.
header:
	HMA_UPDATE_HEADER=1 $(CARGO) test --test header

clean:
	$(CARGO) clean
