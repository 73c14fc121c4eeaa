//! The archives of a release, used where no Rust is installed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::{TempDir, tempdir};

use crate::installed::{command, compilers, is_packaging_wanted, needs_shared_library, tree};
use crate::reproducible::{assert_names_no_folder, cargo_home};
use crate::support::environment::without_settings;
use crate::support::samples::USER;
use crate::support::tools;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `make dist` made for one target, and a machine without Rust that has unpacked it.
struct Release {
    /// With the archives.
    folder: PathBuf,
    /// As `DIST_TARGETS` names it.
    target: String,
    /// Holds the folder that the archive contains.
    unpacked: TempDir,
    /// The programs of this machine, without those of Rust.
    programs: TempDir,
}

impl Release {
    /// `None` if tests that take minutes are not wanted.
    fn get() -> Option<&'static Release> {
        static MADE: OnceLock<Option<Release>> = OnceLock::new();
        let needed =
            ["git", "make", "cargo", "cargo-cyclonedx", "cc", "c++", "pkg-config", "cmake", "tar", "sha256sum"];
        MADE.get_or_init(|| is_packaging_wanted(&needed).then(Release::make)).as_ref()
    }

    /// Unpacks what `make dist` made, in HMA_DIST_DIR or now.
    fn make() -> Release {
        let rustc = tools::run(command("rustc").arg("-vV"));
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let (folder, target) = match env::var_os("HMA_DIST_DIR") {
            Some(folder) => (folder.into(), format!("{host}.2.17")),
            None => make_archives(host),
        };
        let unpacked = tempdir().unwrap();
        let archive = folder.join(format!("hookmyapp-{VERSION}-{target}.tar.gz"));
        tools::run(command("tar").arg("-xzf").arg(archive).arg("-C").arg(unpacked.path()));
        Release { folder, target, unpacked, programs: programs_without_rust() }
    }

    /// The target without the version of glibc.
    fn triple(&self) -> &str {
        self.target.strip_suffix(".2.17").unwrap_or(&self.target)
    }

    fn prefix(&self) -> PathBuf {
        self.unpacked.path().join(format!("hookmyapp-{VERSION}-{}", self.target))
    }

    /// A program on the machine without Rust, which finds the unpacked library.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = command(program);
        command.env("PATH", self.programs.path()).env("CMAKE_PREFIX_PATH", self.prefix());
        command.env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig")).current_dir(self.unpacked.path());
        command
    }

    /// Runs a program that sends one text, with the simulator of the archive, which counts what users got.
    fn check_send(&self, program: &Path, arguments: &[&str]) {
        let mut simulator = self.command(self.prefix().join("bin/hookmyapp-simulator"));
        without_settings(&mut simulator).stdin(Stdio::null());
        simulator.args(["--headless", "--expect", "1", "--time-limit", "60", "--exec"]);
        tools::run(simulator.arg(program).args(arguments));
    }
}

/// Runs `make dist` for this machine; returns the folder and the target.
fn make_archives(host: &str) -> (PathBuf, String) {
    let target = if Command::new("cargo-zigbuild").arg("--version").output().is_ok() {
        format!("{host}.2.17")
    } else {
        eprintln!("the archive is made for this machine's glibc, because cargo-zigbuild is missing");
        host.to_owned()
    };
    // With what was changed since the last commit.
    let stash = ["-c", "user.name=test", "-c", "user.email=test@localhost", "stash", "create"];
    let changed = tools::run(command("git").args(stash));
    let commit = if changed.is_empty() { "HEAD" } else { changed.trim() };
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
    let folder = build.join("dist");
    let _ = fs::remove_dir_all(&folder);
    let mut make = command("make");
    make.arg("dist").arg(format!("DIST_TARGETS={target}")).arg(format!("DIST_COMMIT={commit}"));
    tools::run(make.arg(format!("DIST={}", folder.display())).env("CARGO_TARGET_DIR", &build));
    (folder, target)
}

/// A folder with links to every program in PATH, but none of Rust's.
fn programs_without_rust() -> TempDir {
    let folder = tempdir().unwrap();
    for entry in env::split_paths(&env::var_os("PATH").unwrap()).filter_map(|it| fs::read_dir(it).ok()).flatten() {
        let (name, path) = entry.map(|it| (it.file_name(), it.path())).unwrap();
        let is_of_rust = ["cargo", "rust"].iter().any(|it| name.to_string_lossy().starts_with(it));
        if !is_of_rust && !folder.path().join(&name).is_symlink() {
            symlink(path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

#[test]
fn archive_sends_from_c_and_cpp_where_no_rust_is_installed() {
    let Some(release) = Release::get() else { return };
    for program in ["cargo", "rustc"] {
        assert!(release.command(program).arg("--version").output().is_err(), "{program} is installed");
    }
    let folder = tempdir().unwrap();
    for is_static in [false, true] {
        let mut pkg_config = release.command("pkg-config");
        pkg_config.args(if is_static { &["--static"][..] } else { &[] }).args(["--cflags", "--libs", "hookmyapp"]);
        let flags = tools::run(&mut pkg_config);
        let flags = if is_static { flags.replace("-lhookmyapp", "-l:libhookmyapp.a") } else { flags };
        let program = folder.path().join("send");
        let mut cc = release.command("cc");
        cc.arg(tools::file("examples/send.c")).args(flags.split_whitespace());
        cc.arg(format!("-Wl,-rpath,{}", release.prefix().join("lib").display()));
        tools::run(cc.arg("-o").arg(&program));
        assert_eq!(needs_shared_library(&program), !is_static);
        release.check_send(&program, &[USER, "Hello"]);
    }
    for (number, (c, cpp)) in compilers().enumerate() {
        for is_static in ["OFF", "ON"] {
            let build = folder.path().join(format!("{number}-{is_static}"));
            let mut configure = release.command("cmake");
            configure.arg("-S").arg(tools::file("examples/cmake")).arg("-B").arg(&build);
            configure.args([format!("-DCMAKE_C_COMPILER={c}"), format!("-DCMAKE_CXX_COMPILER={cpp}")]);
            tools::run(configure.arg(format!("-DHELLO_STATIC={is_static}")));
            tools::run(release.command("cmake").arg("--build").arg(&build));
            for program in ["hello", "hello-cpp"].map(|name| build.join(name)) {
                assert_eq!(needs_shared_library(&program), is_static == "OFF");
                release.check_send(&program, &[USER]);
            }
        }
    }
}

#[test]
fn archive_contains_what_its_readme_names() {
    let Some(release) = Release::get() else { return };
    let files: BTreeSet<String> = tree(&release.prefix()).into_iter().collect();
    let documents = [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "copyright",
        "licences-of-programs.txt",
        "licences-of-the-standard-library.html",
    ];
    let boms = ["hookmyapp.cdx.json", "hookmyapp-simulator.cdx.json", "hookmyapp-outbox.cdx.json"];
    let documents = documents.iter().chain(&boms).map(|name| format!("share/doc/hookmyapp/{name}"));
    let named = [
        "README.md",
        "SHA256SUMS",
        "bin/hookmyapp-outbox",
        "bin/hookmyapp-simulator",
        "include/hookmyapp.h",
        "include/hookmyapp.hpp",
        "lib/cmake/hookmyapp/hookmyapp-config.cmake",
        "lib/libhookmyapp.a",
        &format!("lib/libhookmyapp.so.{VERSION}"),
        "lib/pkgconfig/hookmyapp.pc",
        "share/man/man3/hookmyapp.3",
        "share/man/man3/hma_send_text.3 -> hookmyapp.3",
    ];
    for name in named.map(str::to_owned).into_iter().chain(documents) {
        assert!(files.contains(&name), "{name} is missing: {files:#?}");
    }
    let readme = fs::read_to_string(release.prefix().join("README.md")).unwrap();
    assert!(readme.contains(&release.target) && !readme.contains(['@']), "not filled in: {readme}");
    tools::run(release.command(release.prefix().join("bin/hookmyapp-outbox")).arg("--help"));
}

#[test]
fn archive_names_no_folder_of_the_building_machine() {
    let Some(release) = Release::get() else { return };
    let home = env::var("HOME").unwrap();
    let folders = [Path::new(env!("CARGO_MANIFEST_DIR")), &cargo_home(), release.folder.parent().unwrap()];
    for name in tree(&release.prefix()).iter().filter(|name| !name.ends_with('/') && !name.contains(" -> ")) {
        let file = release.prefix().join(name);
        assert_names_no_folder(&file, &folders);
        assert_names_no_folder(&file, &[&Path::new(&home).join(".cargo"), &Path::new(&home).join(".cache")]);
    }
}

#[test]
fn programs_of_the_archive_need_no_newer_glibc_than_its_name_says() {
    let Some(release) = Release::get() else { return };
    if !release.target.ends_with(".2.17") {
        eprintln!("not tested, because the archive is for this machine's glibc");
        return;
    }
    for name in ["bin/hookmyapp-outbox", "bin/hookmyapp-simulator", "lib/libhookmyapp.so"] {
        let symbols = tools::run(command("objdump").arg("-T").arg(release.prefix().join(name)));
        let versions = symbols.split("GLIBC_2.").skip(1);
        let newest = versions.map(|it| it.split(['.', ')', ' ']).next().unwrap().parse::<u32>().unwrap()).max();
        assert!(newest.is_some_and(|it| it <= 17), "{name} needs glibc 2.{newest:?}");
    }
}

#[test]
fn checksums_name_every_file_and_hold() {
    let Some(release) = Release::get() else { return };
    for (folder, is_archive) in [(release.folder.clone(), false), (release.prefix(), true)] {
        tools::run(release.command("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&folder));
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        let listed = sums.lines().map(|line| line.split_once("  ").unwrap().1.trim_start_matches("./").to_owned());
        let files = tree(&folder).into_iter().filter(|name| !name.ends_with('/') && !name.contains(" -> "));
        let files: BTreeSet<String> = files.filter(|name| name != "SHA256SUMS").collect();
        assert_eq!(listed.collect::<BTreeSet<_>>(), files);
        assert!(is_archive || files.len() >= 2, "the archive of the source, and of each target: {files:?}");
    }
}

#[test]
fn source_archive_contains_every_tracked_file() {
    let Some(release) = Release::get() else { return };
    let archive = release.folder.join(format!("hookmyapp-{VERSION}.tar.gz"));
    let listed = tools::run(command("tar").arg("-tzf").arg(archive));
    let prefix = format!("hookmyapp-{VERSION}/");
    let listed = listed.lines().map(|line| line.strip_prefix(&prefix).unwrap()).filter(|name| !name.ends_with('/'));
    let tracked = tools::run(command("git").arg("ls-files"));
    let listed: BTreeSet<&str> = listed.filter(|name| !name.is_empty()).collect();
    let tracked: BTreeSet<&str> = tracked.lines().collect();
    let differences: Vec<_> = listed.symmetric_difference(&tracked).collect();
    assert!(differences.is_empty() && listed.contains("Cargo.toml"), "{differences:?}");
}

/// Each crate with its version, as the bill of materials names it.
fn components(bom: &Path) -> BTreeSet<String> {
    let bom: serde_json::Value = serde_json::from_slice(&fs::read(bom).unwrap()).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    let components = bom["components"].as_array().unwrap().iter();
    components.map(|it| format!("{} v{}", it["name"].as_str().unwrap(), it["version"].as_str().unwrap())).collect()
}

#[test]
fn bills_of_materials_list_every_crate() {
    let Some(release) = Release::get() else { return };
    let packages: [(&str, &str, &[&str]); 3] = [
        ("hookmyapp", "Cargo.toml", &["--features", "capi,quiet"]),
        ("hookmyapp-simulator", "tools/simulator/Cargo.toml", &[]),
        ("hookmyapp-outbox", "tools/outbox/Cargo.toml", &[]),
    ];
    for (name, manifest, features) in packages {
        let mut cargo = command("cargo");
        cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let crates = tools::run(cargo.args(["--target", release.triple(), "--manifest-path", manifest]).args(features));
        let first_two = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        // The first line is the package itself.
        let own = first_two(crates.lines().next().unwrap());
        let built_in: BTreeSet<String> = crates.lines().map(first_two).filter(|it| *it != own).collect();
        let listed = components(&release.prefix().join(format!("share/doc/hookmyapp/{name}.cdx.json")));
        let missing: Vec<_> = built_in.difference(&listed).collect();
        assert!(missing.is_empty() && built_in.len() > 10, "{name}: {missing:?} of {built_in:?}");
    }
}
