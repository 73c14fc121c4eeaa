# Builds hookmyapp for Conan 2: conan create packaging/conan
import os
import re
import shutil

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class HookmyappConan(ConanFile):
    name = "hookmyapp"
    package_type = "library"
    license = "MIT OR Apache-2.0"
    url = "https://github.com/hookmyapp/hookmyapp-native"
    homepage = url
    description = "Sends Instagram direct messages through the HookMyApp gateway"
    topics = ("instagram", "messaging", "hookmyapp")
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        manifest = load(self, os.path.join(self._root, "Cargo.toml"))
        self.version = re.search(r'^version = "(.*)"', manifest, re.MULTILINE).group(1)

    def export_sources(self):
        # The benchmark and the simulator, because cargo wants to see everything that Cargo.toml names.
        files = ("Cargo.*", "Makefile", "build.rs", "LICENSE-*", "README.md")
        folders = ("src/*", "include/*", "benches/*", "packaging/*", "tools/*")
        for pattern in files + folders:
            copy(self, pattern, self._root, self.export_sources_folder, excludes=("*/test_package/*", "*/target/*"))

    def configure(self):
        # The library is Rust, always optimised, and C to the outside.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def package_id(self):
        del self.info.settings.compiler
        del self.info.settings.build_type

    def validate(self):
        if self.settings.os not in ("Linux", "Macos"):
            raise ConanInvalidConfiguration("hookmyapp is packaged for Linux and macOS")

    def validate_build(self):
        if shutil.which("cargo") is None:
            raise ConanInvalidConfiguration("cargo is missing: install Rust 1.85 or later")
        if self.settings.arch != self.settings_build.arch or self.settings.os != self.settings_build.os:
            raise ConanInvalidConfiguration("build hookmyapp on the machine that it is for, or with make TARGET=...")

    def _make(self, *arguments):
        libraries = "shared" if self.options.shared else "static"
        self.run(" ".join(["make", *arguments, f"LIBRARIES={libraries}", "CARGO_TARGET_DIR=target"]))

    def build(self):
        self._make("all")

    def package(self):
        self._make("install", f'PREFIX="{self.package_folder}"', "DOCDIR=licenses")
        # Conan makes its own.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        target = "hookmyapp::hookmyapp" if self.options.shared else "hookmyapp::hookmyapp_static"
        self.cpp_info.libs = ["hookmyapp"]
        self.cpp_info.set_property("cmake_file_name", "hookmyapp")
        self.cpp_info.set_property("cmake_target_name", target)
        self.cpp_info.set_property("cmake_target_aliases", [] if self.options.shared else ["hookmyapp::hookmyapp"])
        self.cpp_info.set_property("pkg_config_name", "hookmyapp")
        if not self.options.shared and self.settings.os == "Linux":
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
        if not self.options.shared and self.settings.os == "Macos":
            self.cpp_info.frameworks = ["CoreFoundation"]
            self.cpp_info.system_libs = ["iconv"]
