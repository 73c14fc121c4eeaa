# hookmyapp for vcpkg, as an overlay port of this source tree: vcpkg install hookmyapp --overlay-ports=packaging/vcpkg
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)

# The library is always optimised: what is built for debugging links the same one.
set(VCPKG_BUILD_TYPE release)

find_program(CARGO cargo HINTS "$ENV{CARGO_HOME}" "$ENV{HOME}/.cargo" PATH_SUFFIXES bin)
if(NOT CARGO)
    message(FATAL_ERROR "cargo is missing: install Rust 1.85 or later")
endif()
find_program(MAKE NAMES gmake make REQUIRED)

if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    set(LIBRARIES static)
else()
    set(LIBRARIES shared)
endif()

vcpkg_execute_required_process(
    COMMAND "${MAKE}" all install "CARGO=${CARGO}" "LIBRARIES=${LIBRARIES}" "PREFIX=${CURRENT_PACKAGES_DIR}"
        "CMAKEDIR=share/hookmyapp" "CARGO_TARGET_DIR=${CURRENT_BUILDTREES_DIR}/cargo"
    WORKING_DIRECTORY "${SOURCE_PATH}"
    LOGNAME "build-${TARGET_TRIPLET}"
)

vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/man" "${CURRENT_PACKAGES_DIR}/share/doc")

vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE"
    "${SOURCE_PATH}/packaging/debian/copyright")
