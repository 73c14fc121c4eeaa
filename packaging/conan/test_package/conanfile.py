# Builds the example project with the package, and runs it with a recipient that nobody has: nothing may be sent,
# whatever the settings are.
import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class HookmyappTestConan(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps", "CMakeToolchain", "VirtualRunEnv"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            for program in ("hello", "hello-cpp"):
                self.run(os.path.join(self.cpp.build.bindir, program) + " @nobody || test $? -eq 1", env="conanrun")
