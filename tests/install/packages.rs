//! Installing, pkg-config, CMake, packages, and what is in the libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::installed::{
    Installed, are_there, check_hello, command, compilers, copy_of, copy_of_source, is_packaging_wanted, make,
    needs_shared_library, tree,
};
use crate::support::artefacts::{artefacts, libraries, private_libraries};
use crate::support::environment::without_settings;
use crate::support::header::Header;
use crate::support::tools;
use tempfile::tempdir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of the interface, as it stands in the name of the shared library.
fn series() -> String {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    if major == "0" { format!("0.{minor}") } else { major.to_owned() }
}

/// Ends a test without these tools.
macro_rules! needs {
    ($($tool:literal),+) => {
        if !are_there(&[$($tool),+]) {
            return;
        }
    };
}

/// The one line that a command which must fail says on standard error, besides what `make` adds.
fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    let said = String::from_utf8(output.stderr).unwrap();
    let own: Vec<&str> =
        said.lines().filter(|line| !(line.starts_with("make: ") && line.contains("] Error "))).collect();
    assert_eq!(own.len(), 1, "{command:?} says {said}");
    own[0].to_owned()
}

/// The folder contains these files, one per line, and no others.
fn assert_tree(folder: &Path, expected: &str) {
    let expected = expected.replace("SERIES", &series()).replace("VERSION", VERSION);
    assert_eq!(tree(folder).iter().map(String::as_str).collect::<BTreeSet<_>>(), expected.lines().collect());
}

// make install

#[test]
fn make_install_puts_every_file_in_its_place() {
    needs!("make");
    let stage = tempdir().unwrap();
    let places = ["PREFIX=/opt/hma", "LIBDIR=/opt/hma/lib/here", "INCLUDEDIR=/opt/headers"];
    let staged = format!("DESTDIR={}", stage.path().display());
    let arguments = [&places[..], &[&staged]].concat();
    tools::run(make().arg("install").args(&arguments));
    let lib = "opt/hma/lib/here";
    let expected = "opt/
opt/headers/
opt/headers/hookmyapp.h
opt/headers/hookmyapp.hpp
opt/hma/
opt/hma/lib/
LIB/
LIB/cmake/
LIB/cmake/hookmyapp/
LIB/cmake/hookmyapp/hookmyapp-config-version.cmake
LIB/cmake/hookmyapp/hookmyapp-config.cmake
LIB/libhookmyapp.a
LIB/libhookmyapp.so -> libhookmyapp.so.SERIES
LIB/libhookmyapp.so.VERSION
LIB/libhookmyapp.so.SERIES -> libhookmyapp.so.VERSION
LIB/pkgconfig/
LIB/pkgconfig/hookmyapp.pc
opt/hma/share/
opt/hma/share/doc/
opt/hma/share/doc/hookmyapp/
opt/hma/share/doc/hookmyapp/LICENSE-APACHE
opt/hma/share/doc/hookmyapp/LICENSE-MIT
opt/hma/share/doc/hookmyapp/copyright
opt/hma/share/man/
opt/hma/share/man/man3/
opt/hma/share/man/man3/hookmyapp.3";
    // `man hma_send_text` finds the page.
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    let links = header.functions.iter().map(|it| format!("\nopt/hma/share/man/man3/{}.3 -> hookmyapp.3", it.name));
    assert_tree(stage.path(), &(expected.replace("LIB", lib) + &links.collect::<String>()));
    // A staged copy says nothing of where it was staged.
    for file in ["pkgconfig/hookmyapp.pc", "cmake/hookmyapp/hookmyapp-config.cmake"] {
        let text = fs::read_to_string(stage.path().join(lib).join(file)).unwrap();
        assert!(!text.contains(stage.path().to_str().unwrap()) && text.contains("/opt/headers"), "{text}");
        assert!(!text.contains('@'), "not filled in: {text}");
    }

    tools::run(make().arg("uninstall").args(&arguments));
    assert_eq!(tree(stage.path()), Vec::<String>::new());
}

#[test]
fn make_uninstall_removes_only_installed_files() {
    needs!("make");
    let folder = tempdir().unwrap();
    let prefix = format!("PREFIX={}", folder.path().join("with a blank").display());
    // Twice, as for an update.
    tools::run(make().args(["install", &prefix]));
    tools::run(make().args(["install", &prefix]));
    fs::write(folder.path().join("with a blank/lib/other.pc"), "").unwrap();
    tools::run(make().args(["uninstall", &prefix]));
    assert_eq!(tree(folder.path()), ["with a blank/", "with a blank/lib/", "with a blank/lib/other.pc"]);
    fs::remove_file(folder.path().join("with a blank/lib/other.pc")).unwrap();
    tools::run(make().args(["uninstall", &prefix]));
    assert_eq!(tree(folder.path()), Vec::<String>::new());
}

#[test]
fn failed_install_prints_one_line_and_changes_nothing() {
    needs!("make");
    let folder = tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("file"), "").unwrap();
    fs::create_dir_all(path.join("taken/share/doc/hookmyapp/LICENSE-APACHE")).unwrap();
    let before = tree(path);
    // A folder that cannot be made, first and after others; and a folder where the last file must go.
    let wrong = [
        format!("PREFIX={}/file/prefix", path.display()),
        format!("PREFIX={0} DOCDIR={0}/file/doc", path.display()),
        format!("PREFIX={}/taken", path.display()),
    ];
    for arguments in wrong {
        let line = complaint(make().arg("install").args(arguments.split(' ')));
        assert!(line.starts_with("hookmyapp: ") && line.contains(path.to_str().unwrap()), "{line}");
        assert_eq!(tree(path), before, "{arguments}");
    }
}

#[test]
fn make_reports_a_missing_tool_in_one_line() {
    needs!("make", "rustc");
    let folder = tempdir().unwrap();
    let cases = [
        ("CC=no-such-compiler", "the C compiler no-such-compiler is missing"),
        ("CARGO=no-such-cargo", "no-such-cargo is missing: install Rust 1.85 or later"),
        ("TARGET=z80-zx-spectrum", "unknown target z80-zx-spectrum"),
        // Known, and nobody can install a standard library for it.
        ("TARGET=avr-none", "Rust has no standard library for avr-none here"),
    ];
    for (argument, words) in cases {
        let prefix = format!("PREFIX={}", folder.path().join("out").display());
        for goals in [vec!["all"], vec!["install", &prefix]] {
            let mut make = command("make");
            make.args(goals).arg(argument).env("CARGO_TARGET_DIR", folder.path().join("target"));
            let line = complaint(&mut make);
            assert!(line.contains(words), "{line}");
            assert_eq!(tree(folder.path()), Vec::<String>::new());
        }
    }
}

// Another machine

#[test]
fn target_is_linked_by_the_given_compiler_or_by_cargo() {
    needs!("make", "rustc", "cc");
    let rustc = tools::run(command("rustc").arg("-vV"));
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // The version of glibc is for cargo-zigbuild, which names the folder without it.
    let target = format!("TARGET={host}.2.17");
    let commands = |arguments: &[&str]| {
        let mut make = command("make");
        make.env_remove("CC").env("CARGO_TARGET_DIR", "here").args(["--dry-run", "all", &target]);
        tools::run(make.args(arguments))
    };
    assert!(commands(&["CC=cc"]).contains(" -C linker=cc"));
    let commands = commands(&[]);
    assert!(!commands.contains("linker=") && commands.contains(&format!(" --target {host}.2.17 ")), "{commands}");
    assert!(commands.contains(&format!("hookmyapp.hpp here/{host}/release/")), "{commands}");
}

// pkg-config

#[test]
fn pkg_config_project_finds_the_library() {
    let Some(installed) = Installed::get() else { return };
    needs!("pkg-config", "readelf");
    assert_eq!(tools::run(installed.command("pkg-config").args(["--modversion", "hookmyapp"])).trim(), VERSION);
    for (compiler, _) in compilers() {
        for is_static in [false, true] {
            let project = copy_of("examples/pkg-config");
            let mut make = installed.command("make");
            make.current_dir(project.path()).arg(format!("CC={compiler}"));
            if is_static {
                make.arg("STATIC=1");
            }
            tools::run(&mut make);
            let program = project.path().join("hello");
            assert_eq!(needs_shared_library(&program), !is_static);
            check_hello(&program);
        }
    }
}

#[test]
fn program_can_be_linked_fully_static() {
    let Some(installed) = Installed::get() else { return };
    needs!("pkg-config", "readelf");
    for (compiler, _) in compilers() {
        let project = copy_of("examples/pkg-config");
        let program = project.path().join("hello");
        let mut command = command(compiler);
        command.current_dir(project.path()).args(["-static", "hello.c", "-o", "hello"]);
        tools::run(command.args(installed.pkg_config(&["--static", "--cflags", "--libs"])));
        let dynamic = tools::run(Command::new("readelf").arg("-dW").arg(&program));
        assert!(dynamic.contains("no dynamic section"), "{dynamic}");
        check_hello(&program);
    }
}

#[test]
fn pkg_config_names_the_libraries_that_rustc_reports() {
    let Some(installed) = Installed::get() else { return };
    needs!("pkg-config");
    let shared = installed.pkg_config(&["--libs-only-l"]);
    assert_eq!(shared, ["-lhookmyapp"]);
    // Whichever fits, the compiler adds by itself: the unwinder and the C library.
    let mut named = libraries(&installed.pkg_config(&["--static", "--libs-only-l"]).join(" "));
    named.remove("-lhookmyapp");
    assert!(!named.contains("-lgcc_s") && !named.contains("-lc"));
    named.extend(["-lgcc_s", "-lc"].map(str::to_owned));
    assert_eq!(named, libraries(&private_libraries().join(" ")));
    if let Some(reported) = &artefacts().unwrap().private_libraries {
        assert_eq!(named, libraries(reported));
    }
}

#[test]
fn pkg_config_omits_system_folders() {
    needs!("make", "pkg-config");
    let stage = tempdir().unwrap();
    tools::run(make().args(["install", "PREFIX=/usr", &format!("DESTDIR={}", stage.path().display())]));
    let mut pkg_config = command("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", stage.path().join("usr/lib/pkgconfig"));
    let words = tools::run(pkg_config.args(["--cflags", "--libs", "hookmyapp"]));
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["-lhookmyapp"]);
    // A cross compiler's folder comes in front once.
    let mut pkg_config = command("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", stage.path().join("usr/lib/pkgconfig"));
    pkg_config.env("PKG_CONFIG_SYSROOT_DIR", stage.path()).env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1");
    let words = tools::run(pkg_config.args(["--cflags", "hookmyapp"]));
    assert_eq!(words.trim(), format!("-I{}/usr/include", stage.path().display()));
}

// CMake

/// Configures and builds the CMake project, and gives its two programs.
fn build_with_cmake(mut configure: Command, (c, cpp): (&str, &str), folder: &Path) -> [PathBuf; 2] {
    configure.arg("-S").arg(tools::file("examples/cmake")).arg("-B").arg(folder);
    tools::run(configure.arg(format!("-DCMAKE_C_COMPILER={c}")).arg(format!("-DCMAKE_CXX_COMPILER={cpp}")));
    tools::run(command("cmake").arg("--build").arg(folder));
    ["hello", "hello-cpp"].map(|name| folder.join(name))
}

#[test]
fn cmake_project_finds_the_library() {
    let Some(installed) = Installed::get() else { return };
    needs!("cmake", "readelf");
    for both in compilers() {
        for is_static in [false, true] {
            let folder = tempdir().unwrap();
            let mut configure = installed.command("cmake");
            configure.arg(format!("-DHELLO_STATIC={}", if is_static { "ON" } else { "OFF" }));
            for program in build_with_cmake(configure, both, folder.path()) {
                assert_eq!(needs_shared_library(&program), !is_static);
                check_hello(&program);
            }
        }
    }
}

#[test]
fn cmake_project_builds_the_library() {
    needs!("make", "cmake", "readelf");
    for is_static in [false, true] {
        let folder = tempdir().unwrap();
        let mut configure = command("cmake");
        configure.arg(format!("-DHELLO_STATIC={}", if is_static { "ON" } else { "OFF" }));
        configure.arg(format!("-DHELLO_SOURCE={}", env!("CARGO_MANIFEST_DIR")));
        let built = artefacts().unwrap().folder.parent().unwrap().display();
        configure.arg(format!("-DHOOKMYAPP_CARGO_TARGET_DIR={built}"));
        for program in build_with_cmake(configure, ("cc", "c++"), folder.path()) {
            assert_eq!(needs_shared_library(&program), !is_static);
            check_hello(&program);
        }
    }
}

#[test]
fn cmake_accepts_compatible_versions_only() {
    let Some(installed) = Installed::get() else { return };
    needs!("cmake");
    let numbers: Vec<u32> = VERSION.split('.').map(|number| number.parse().unwrap()).collect();
    let [major, minor, patch] = numbers[..] else { panic!("{VERSION}") };
    let fits = [
        String::new(),
        series(),
        VERSION.to_owned(),
        format!("{VERSION} EXACT"),
        format!("{}...<{}", series(), major + 1),
        format!("{}...{VERSION}", series()),
    ];
    let does_not = [
        format!("{major}.{minor}.{}", patch + 1),
        format!("{major}.{}", minor + 1),
        format!("{}", major + 1),
        format!("{major}.{minor}.{} EXACT", patch + 1),
        // Begins with the same digits.
        format!("{}0", series()),
    ];
    let folder = tempdir().unwrap();
    let mut project = "cmake_minimum_required(VERSION 3.16)\nproject(versions LANGUAGES C)\n".to_owned();
    for version in fits.iter().chain(&does_not) {
        project += &format!(
            "find_package(hookmyapp {version} CONFIG QUIET)\nmessage(STATUS \"[{version}] ${{hookmyapp_FOUND}}\")\n\
             unset(hookmyapp_DIR CACHE)\n"
        );
    }
    fs::write(folder.path().join("CMakeLists.txt"), project).unwrap();
    let said = tools::run(installed.command("cmake").arg("-S").arg(folder.path()).arg("-B").arg(folder.path()));
    for (versions, found) in [(&fits[..], "1"), (&does_not[..], "0")] {
        for version in versions {
            assert!(said.contains(&format!("[{version}] {found}\n")), "[{version}] is not {found}: {said}");
        }
    }
}

#[test]
fn static_only_install_links_in_every_project() {
    needs!("make", "pkg-config", "cmake", "readelf");
    let folder = tempdir().unwrap();
    let prefix = folder.path().join("out");
    tools::run(make().args(["install", "LIBRARIES=static", &format!("PREFIX={}", prefix.display())]));
    assert!(!tree(&prefix).iter().any(|name| name.contains(".so")));
    let mut configure = command("cmake");
    configure.env("CMAKE_PREFIX_PATH", &prefix);
    build_with_cmake(configure, ("cc", "c++"), &folder.path().join("cmake")).iter().for_each(|it| check_hello(it));

    let project = copy_of("examples/pkg-config");
    let mut make = command("make");
    make.current_dir(project.path()).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    tools::run(&mut make);
    check_hello(&project.path().join("hello"));
}

// What is in the libraries

fn shared_library() -> Option<PathBuf> {
    Some(artefacts()?.folder.join("libhookmyapp.so")).filter(|_| !cfg!(target_os = "macos"))
}

#[test]
fn loaded_shared_library_is_read_only() {
    let Some(library) = shared_library() else { return };
    needs!("readelf");
    let said = tools::run(Command::new("readelf").args(["-dlW"]).arg(&library));
    assert!(said.contains("GNU_RELRO") && said.contains("BIND_NOW"), "{said}");
    assert!(!said.contains("TEXTREL"), "{said}");
    let writable_code = said.lines().filter(|line| line.contains(" RWE "));
    assert_eq!(writable_code.count(), 0, "{said}");
}

#[test]
fn libraries_contain_no_openssl_symbol() {
    let Some(library) = shared_library() else { return };
    needs!("nm");
    // Those of ring, which grew out of it, begin with its own name and version.
    let openssl =
        ["SSL_", "EVP_", "OPENSSL_", "CRYPTO_", "BN_", "EC_", "RSA_", "X509_", "ERR_", "BIO_", "AES_", "SHA256_"];
    let mut seen = 0;
    for (library, options) in [(library.with_file_name("libhookmyapp.a"), "-gP"), (library, "-DP")] {
        for line in tools::run(Command::new("nm").arg(options).arg(&library)).lines() {
            let name = line.split(' ').next().unwrap();
            assert!(!openssl.iter().any(|prefix| name.starts_with(prefix)), "{line}");
            seen += usize::from(name == "hma_send_text");
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn two_rust_static_libraries_link_into_one_program() {
    let Some(installed) = Installed::get() else { return };
    needs!("rustc", "pkg-config");
    let folder = tempdir().unwrap();
    // Threads, panics and hash maps: much of the standard library is in both.
    let other = r#"
        #[unsafe(no_mangle)]
        pub extern "C" fn other_answer(number: i32) -> i32 {
            let caught = std::panic::catch_unwind(|| match number {
                0 => 2,
                _ => std::panic::resume_unwind(Box::new(())),
            });
            let map: std::collections::HashMap<i32, i32> = (0..10).map(|it| (it, it * it)).collect();
            std::thread::spawn(move || map[&3] + caught.unwrap_or(-1)).join().unwrap()
        }
    "#;
    let main = r#"
        int other_answer(int);
        int hello(int argc, char **argv);
        int main(int argc, char **argv)
        {
            if (other_answer(0) != 11 || other_answer(7) != 8)
                return 99;
            return hello(argc, argv);
        }
    "#;
    fs::write(folder.path().join("other.rs"), other).unwrap();
    fs::write(folder.path().join("main.c"), main).unwrap();
    let in_folder = |program: &str| {
        let mut command = command(program);
        command.current_dir(folder.path());
        command
    };
    let source = tools::file("examples/pkg-config/hello.c");
    let flags = installed.pkg_config(&["--cflags"]);
    tools::run(in_folder("cc").args(["-Dmain=hello", "-c", "-o", "hello.o"]).arg(source).args(flags));
    for optimised in [false, true] {
        let mut rustc = in_folder("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "staticlib", "other.rs"]);
        if optimised {
            rustc.args(["-C", "opt-level=3", "-C", "lto=thin"]);
        }
        tools::run(&mut rustc);
        for order in [["-l:libhookmyapp.a", "-l:libother.a"], ["-l:libother.a", "-l:libhookmyapp.a"]] {
            let mut cc = in_folder("cc");
            cc.args(["main.c", "hello.o", "-L.", "-o", "both"]).args(installed.pkg_config(&["--libs-only-L"]));
            tools::run(cc.args(order).args(private_libraries()));
            check_hello(&folder.path().join("both"));
        }
    }
}

/// In bytes, for 64-bit x86: docs/install.md states them.
const SIZE_BUDGET: u64 = 1_840_000;
/// With `make OPT_LEVEL=3`; level 3 for the whole build takes a quarter of a megabyte more.
const FAST_SIZE_BUDGET: u64 = 2_080_000;

fn stripped_size(file: &Path) -> u64 {
    let folder = tempdir().unwrap();
    let copy = folder.path().join("stripped");
    tools::run(Command::new("strip").arg("-o").arg(&copy).arg(file));
    fs::metadata(copy).unwrap().len()
}

#[test]
fn library_and_program_keep_the_size_budget() {
    let Some(library) = shared_library() else { return };
    if !are_there(&["strip", "cc"]) || !cfg!(target_arch = "x86_64") {
        return;
    }
    let folder = tempdir().unwrap();
    let program = folder.path().join("send");
    let mut cc = command("cc");
    cc.args(["-O2", "-Iinclude", "examples/send.c", "-Wl,--gc-sections", "-o"]).arg(&program);
    tools::run(cc.arg(library.with_file_name("libhookmyapp.a")).args(private_libraries()));
    let (library, program) = (stripped_size(&library), stripped_size(&program));
    println!("stripped: shared library {library} bytes, program with the archive {program} bytes");
    assert!(library <= SIZE_BUDGET && program <= SIZE_BUDGET, "{library}, {program}");
}

#[test]
fn fast_build_optimises_the_path_of_a_send_within_its_size() {
    if artefacts().is_none() {
        return;
    }
    let cargo_line = |level: &str| {
        let commands = tools::run(make().args(["--dry-run", "all", &format!("OPT_LEVEL={level}")]));
        commands.lines().find(|line| line.contains(" rustc ")).unwrap().to_owned()
    };
    assert!(
        cargo_line("2").contains(" --config profile.release.opt-level=2 "),
        "another level holds for the whole build"
    );
    assert!(!cargo_line("3").contains(" profile.release.opt-level="), "{}", cargo_line("3"));
    if !are_there(&["strip"]) || !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("make-fast");
    let mut make = command("make");
    make.env("CARGO_TARGET_DIR", &folder).args(["all", "OPT_LEVEL=3", "LIBRARIES=shared"]);
    let output = make.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("warning"), "a package that is not there: {said}");
    let size = stripped_size(&folder.join("release/libhookmyapp.so"));
    println!("stripped: shared library of the fast build {size} bytes");
    assert!(size <= FAST_SIZE_BUDGET, "{size}");
}

#[test]
fn shared_library_needs_only_the_documented_glibc() {
    let Some(library) = shared_library() else { return };
    if !are_there(&["objdump"]) || !cfg!(all(target_env = "gnu", target_arch = "x86_64")) {
        return;
    }
    let numbers = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    let symbols = tools::run(Command::new("objdump").arg("-T").arg(library));
    let versions = symbols.split("GLIBC_").skip(1).map(|rest| rest.split([')', ' ', '\n']).next().unwrap());
    let needed = versions.max_by_key(|version| numbers(version)).unwrap();
    println!("the shared library needs glibc {needed}");
    let manual = tools::read("docs/install.md");
    let said = manual.split("needs glibc ").nth(1).expect("docs/install.md says which glibc is needed");
    let said = said.split_whitespace().next().unwrap();
    assert!(numbers(needed) <= numbers(said), "glibc {needed} is needed, and docs/install.md says {said}");
}

#[test]
fn licences_of_all_dependencies_are_installed() {
    let said = tools::read("packaging/debian/copyright");
    let mut cargo = command("cargo");
    cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--features", "capi,quiet", "--prefix", "none"]);
    for package in tools::run(cargo.args(["--format", "{p}"])).lines().skip(1) {
        let name = package.split(' ').next().unwrap();
        assert!(said.contains(&format!("vendor/{name}/*\n")) || name == "hookmyapp", "nothing is said of {name}");
    }
}

/// Features hold for a whole build: those of the C functions alone must not silence the Rust programs beside them.
#[test]
fn only_the_feature_quiet_removes_log_messages() {
    let features_of_log = |features: &str| {
        let mut cargo = command("cargo");
        cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}"]);
        let tree = tools::run(cargo.args(["--features", features]));
        tree.lines().find(|line| line.starts_with("log ")).unwrap().to_owned()
    };
    assert!(!features_of_log("capi").contains("max_level"), "{}", features_of_log("capi"));
    assert!(features_of_log("capi,quiet").contains("release_max_level_off"), "{}", features_of_log("capi,quiet"));
    if are_there(&["make"]) {
        let commands = tools::run(command("make").env("CARGO_TARGET_DIR", "here").args(["--dry-run", "all"]));
        assert!(commands.contains(" --features capi,quiet "), "{commands}");
    }
}

// The commands of docs/install.md, and packages

/// The fenced blocks in one language of the page about installing.
fn manual_blocks(language: &str) -> Vec<String> {
    let manual = tools::read("docs/install.md");
    let fence = format!("\n```{language}\n");
    let blocks = manual.split(&fence).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

/// Runs commands of the page, one after another, and stops at the first that fails.
fn run_words(words: &str, folder: &Path) {
    let mut sh = command("sh");
    sh.args(["-ec", words]).current_dir(folder);
    tools::run(sh.env("CARGO_TARGET_DIR", artefacts().unwrap().folder.parent().unwrap()));
}

#[test]
fn manual_commands_install_and_link() {
    needs!("make", "pkg-config", "cmake");
    let folder = copy_of_source();
    let blocks = manual_blocks("sh");
    let wanted = ["make install ", "pkg-config ", "cmake -S "];
    let words: Vec<&str> = wanted.map(|it| blocks.iter().find(|block| block.contains(it)).unwrap().as_str()).into();
    run_words(&words.join("\n"), folder.path());
    for name in ["send", "send-static", "send-alone"] {
        let mut send = command(folder.path().join(name));
        without_settings(&mut send);
        let output = send.args(["8123456789012345", "Hello"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", tools::shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("INSTAGRAM_ACCESS_TOKEN"));
    }
    ["hello", "hello-cpp"].iter().for_each(|name| check_hello(&folder.path().join("build").join(name)));
}

#[test]
fn manual_cmake_links() {
    let Some(installed) = Installed::get() else { return };
    needs!("cmake");
    let snippets = manual_blocks("cmake");
    assert_eq!(snippets.len(), 2);
    for snippet in snippets {
        let project = copy_of("examples/cmake");
        let begin = "cmake_minimum_required(VERSION 3.18)\nproject(app LANGUAGES C)\nadd_executable(app hello.c)\n";
        fs::write(project.path().join("CMakeLists.txt"), format!("{begin}{snippet}\n")).unwrap();
        let build = project.path().join("build");
        let mut cmake = installed.command("cmake");
        cmake.arg("-S").arg(project.path()).arg("-B").arg(&build);
        cmake.arg(format!("-DFETCHCONTENT_SOURCE_DIR_HOOKMYAPP={}", env!("CARGO_MANIFEST_DIR")));
        let built = artefacts().unwrap().folder.parent().unwrap().display();
        tools::run(cmake.arg(format!("-DHOOKMYAPP_CARGO_TARGET_DIR={built}")));
        tools::run(command("cmake").arg("--build").arg(&build));
        check_hello(&build.join("app"));
    }
}

#[test]
fn debian_packages_build_offline_without_lintian_errors() {
    let compile = ["cargo", "cc", "pkg-config", "readelf"];
    let package = ["dpkg-buildpackage", "dh", "lintian", "unshare", "ip"];
    if !is_packaging_wanted(&[&compile[..], &package].concat()) {
        return;
    }
    let folder = copy_of_source();
    let words = manual_blocks("sh").into_iter().find(|block| block.contains("packaging/debian")).unwrap();
    let mut sh = command("sh");
    sh.args(["-ec", &words]).current_dir(folder.path());
    // What `cargo test` tells its tests is not meant for Debian's cargo.
    ["CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"].iter().for_each(|name| {
        sh.env_remove(name);
    });
    tools::run(&mut sh);
    let packages = folder.path().join("target/packages");
    let changes = |path: &PathBuf| path.extension().is_some_and(|it| it == "changes");
    let changes = fs::read_dir(&packages).unwrap().map(|it| it.unwrap().path()).find(changes).unwrap();
    // Shown, but no fault: what depends on the version of Rust, such as the spelling in its standard library.
    let lintian = ["--display-info", "--pedantic", "--fail-on", "error,warning"];
    println!("{}", tools::run(command("lintian").args(lintian).arg(&changes)));

    // Unpacked beside the system, a program finds the library as on a system that has the packages.
    let root = folder.path().join("root");
    for name in fs::read_dir(&packages).unwrap().map(|it| it.unwrap().path()) {
        if name.extension().is_some_and(|it| it == "deb") {
            tools::run(command("dpkg-deb").arg("--extract").arg(name).arg(&root));
        }
    }
    let mut folders = fs::read_dir(root.join("usr/lib")).unwrap().map(|it| it.unwrap().path());
    let library = folders.find(|it| it.join("libhookmyapp.so").exists()).unwrap();
    let source = tools::file("examples/pkg-config/hello.c");
    for is_static in [false, true] {
        let program = folder.path().join("hello");
        let mut pkg_config = command("pkg-config");
        pkg_config.env("PKG_CONFIG_SYSROOT_DIR", &root).env("PKG_CONFIG_LIBDIR", library.join("pkgconfig"));
        let how: &[&str] = if is_static { &["--static"] } else { &[] };
        let words = tools::run(pkg_config.args(how).args(["--libs", "hookmyapp"]));
        let words = if is_static { words.replace("-lhookmyapp", "-l:libhookmyapp.a") } else { words };
        let mut cc = command("cc");
        cc.arg("-I").arg(root.join("usr/include")).arg(&source).arg("-L").arg(&library);
        cc.args(words.split_whitespace()).arg(format!("-Wl,-rpath,{}", library.display()));
        tools::run(cc.arg("-o").arg(&program));
        assert_eq!(needs_shared_library(&program), !is_static);
        check_hello(&program);
    }
}

#[test]
fn debian_symbols_are_the_functions_of_the_header() {
    let file = format!("packaging/debian/libhookmyapp{}.symbols", series());
    let listed = tools::read(&file);
    let listed = listed.lines().filter_map(|line| line.strip_prefix(' ')).map(|line| line.split('@').next().unwrap());
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    let mut names: Vec<&str> = header.functions.iter().map(|function| function.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(listed.collect::<Vec<_>>(), names, "{file} must name each function, with the version that brought it");
}

#[test]
fn conan_package_builds_and_links() {
    if !is_packaging_wanted(&["conan", "cargo", "make", "cmake", "readelf"]) {
        return;
    }
    let home = tempdir().unwrap();
    let folder = copy_of_source();
    let words = manual_blocks("sh").into_iter().find(|block| block.contains("conan create")).unwrap();
    let run = |words: &str| {
        let mut sh = command("sh");
        sh.args(["-ec", words]).current_dir(folder.path()).env("CONAN_HOME", home.path());
        tools::run(sh.env_remove("CARGO_TARGET_DIR"))
    };
    run("conan profile detect");
    for (is_static, words) in [(false, words.clone()), (true, words.replace("shared=True", "shared=False"))] {
        run(&words);
        for program in ["hello", "hello-cpp"].map(|name| folder.path().join("build-conan").join(name)) {
            assert_eq!(needs_shared_library(&program), !is_static);
            check_hello(&program);
        }
        fs::remove_dir_all(folder.path().join("build-conan")).unwrap();
    }
}

/// vcpkg cannot be had everywhere; this does what its functions do, for the steps of the port.
#[test]
fn vcpkg_port_steps_make_a_package() {
    needs!("make", "cmake", "pkg-config");
    let manifest = tools::read("packaging/vcpkg/vcpkg.json");
    assert!(manifest.contains(&format!("\"version\": \"{VERSION}\"")), "{manifest}");
    let folder = tempdir().unwrap();
    let shim = r#"
        function(vcpkg_execute_required_process)
            cmake_parse_arguments(it "" "WORKING_DIRECTORY;LOGNAME" "COMMAND" ${ARGN})
            execute_process(COMMAND ${it_COMMAND} WORKING_DIRECTORY "${it_WORKING_DIRECTORY}" RESULT_VARIABLE failed)
            if(failed)
                message(FATAL_ERROR "${it_COMMAND}: ${failed}")
            endif()
        endfunction()
        function(vcpkg_fixup_pkgconfig)
            set(ENV{PKG_CONFIG_LIBDIR} "${CURRENT_PACKAGES_DIR}/lib/pkgconfig")
            execute_process(COMMAND pkg-config --exists --print-errors hookmyapp RESULT_VARIABLE failed)
            if(failed)
                message(FATAL_ERROR "pkg-config: ${failed}")
            endif()
        endfunction()
        function(vcpkg_install_copyright)
            cmake_parse_arguments(it "" "" "FILE_LIST" ${ARGN})
            foreach(file IN LISTS it_FILE_LIST)
                file(READ "${file}" text)
                file(APPEND "${CURRENT_PACKAGES_DIR}/share/hookmyapp/copyright" "${text}")
            endforeach()
        endfunction()
        include("${PORT}/portfile.cmake")
    "#;
    fs::write(folder.path().join("shim.cmake"), shim).unwrap();
    // As far as cargo is concerned, the library is built already.
    let trees = folder.path().join("trees");
    fs::create_dir(&trees).unwrap();
    std::os::unix::fs::symlink(artefacts().unwrap().folder.parent().unwrap(), trees.join("cargo")).unwrap();
    let packages = folder.path().join("packages");
    let mut cmake = command("cmake");
    cmake.args(["-DVCPKG_LIBRARY_LINKAGE=dynamic", "-DTARGET_TRIPLET=x64-linux-dynamic"]);
    cmake.arg(format!("-DPORT={}", tools::file("packaging/vcpkg").display()));
    cmake.arg(format!("-DCURRENT_PACKAGES_DIR={}", packages.display()));
    cmake.arg(format!("-DCURRENT_BUILDTREES_DIR={}", trees.display()));
    tools::run(cmake.arg("-P").arg(folder.path().join("shim.cmake")));
    // What vcpkg would complain of: files in other places, folders with nothing in them, paths of this machine.
    let expected = "include/
include/hookmyapp.h
include/hookmyapp.hpp
lib/
lib/libhookmyapp.so -> libhookmyapp.so.SERIES
lib/libhookmyapp.so.VERSION
lib/libhookmyapp.so.SERIES -> libhookmyapp.so.VERSION
lib/pkgconfig/
lib/pkgconfig/hookmyapp.pc
share/
share/hookmyapp/
share/hookmyapp/copyright
share/hookmyapp/hookmyapp-config-version.cmake
share/hookmyapp/hookmyapp-config.cmake";
    assert_tree(&packages, expected);
    for name in ["lib/pkgconfig/hookmyapp.pc", "share/hookmyapp/hookmyapp-config.cmake"] {
        let text = fs::read_to_string(packages.join(name)).unwrap();
        assert!(!text.contains(folder.path().to_str().unwrap()), "{text}");
    }
    let mut configure = command("cmake");
    configure.env("CMAKE_PREFIX_PATH", &packages);
    build_with_cmake(configure, ("cc", "c++"), &folder.path().join("build")).iter().for_each(|it| check_hello(it));
}

// The manual

#[test]
fn man_page_contains_every_function_and_constant() {
    let Some(installed) = Installed::get() else { return };
    needs!("man");
    let page = installed.prefix().join("share/man/man3/hookmyapp.3");
    let mut man = command("man");
    man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page).env("MANROFFSEQ", "").env("MANWIDTH", "80");
    let output = man.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", tools::shown(&output));
    let text = fs::read_to_string(&page).unwrap();
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    for function in &header.functions {
        assert!(text.contains(&format!("\n.SS {}()\n", function.name)), "{} is not in the page", function.name);
    }
    for constant in header.constants.iter().filter(|it| !it.name.starts_with("HMA_VERSION")) {
        assert!(text.contains(&format!("\n.BR {} ", constant.name)), "{} is not in the page", constant.name);
    }
}

#[test]
fn man_finds_the_page_by_the_name_of_a_function() {
    let Some(installed) = Installed::get() else { return };
    needs!("man");
    let mut man = command("man");
    man.args(["-E", "UTF-8", "3", "hma_send_text"]).env("MANPATH", installed.prefix().join("share/man"));
    let page = tools::run(man.env("MANROFFSEQ", "").env("MANWIDTH", "200").env("MAN_KEEP_FORMATTING", ""));
    let section = |name: &str| -> String {
        let start = page.find(&format!("\n{name}\n")).unwrap_or_else(|| panic!("no {name} in {page}")) + name.len() + 2;
        page[start..].lines().take_while(|line| line.is_empty() || line.starts_with(' ')).collect::<Vec<_>>().join("\n")
    };
    assert!(section("SYNOPSIS").contains("pkg-config --static"), "{}", section("SYNOPSIS"));
    for name in ["INSTAGRAM_GRAPH_API_URL", "INSTAGRAM_USER_ID", "INSTAGRAM_ACCESS_TOKEN", "WEBHOOK_HMAC_SECRET"] {
        assert!(section("ENVIRONMENT").contains(name), "{}", section("ENVIRONMENT"));
    }
    assert!(section("ERRORS").contains("HMA_ERROR_WINDOW_CLOSED 23"), "{}", section("ERRORS"));
    // The examples are those that tests/ffi/readme.rs compiles: the webhook of docs/webhooks.md, and that of the header.
    let manual = tools::read("docs/webhooks.md");
    let webhook = manual.split("\n```c\n").nth(1).unwrap().split("```").next().unwrap();
    let examples = section("EXAMPLES");
    for line in
        webhook.lines().chain(["status = hma_send_text(client, \"8123456789012345\", \"Hello\", &response, &error);"])
    {
        assert!(examples.contains(line.trim()), "{line} is not in {examples}");
    }
}

#[test]
fn doxygen_reads_the_header_without_a_warning() {
    needs!("make", "doxygen");
    let folder = tempdir().unwrap();
    let output = command("make").arg("doc").env("CARGO_TARGET_DIR", folder.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", tools::shown(&output));
    let page = |name: &str| fs::read_to_string(folder.path().join("manual/html").join(name)).unwrap();
    assert!(page("hookmyapp_8h.html").contains("hma_send_text"));
    assert!(page("hookmyapp_8h.html").contains("HMA_ERROR_WINDOW_CLOSED"));
    let namespace = format!("hma_1_1v{}", series().replace('.', "__"));
    assert!(page(&format!("namespace{namespace}.html")).contains("webhook_verify"));
    assert!(page(&format!("class{namespace}_1_1client.html")).contains("send_private_reply"));
    // The front page is the preface of the header.
    let header = tools::read("include/hookmyapp.h");
    let preface =
        header.lines().skip(2).take_while(|line| *line != " */").map(|line| line.trim_start_matches([' ', '*']));
    let front = page("index.html");
    for line in preface.filter(|line| !line.contains(['"', '<', '&'])) {
        assert!(front.contains(line), "{line}");
    }
}
