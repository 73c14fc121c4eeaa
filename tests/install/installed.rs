//! An installed copy of the library, and projects that are built against it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::artefacts::artefacts;
use crate::support::environment::lead_to;
use crate::support::gateway::Gateway;
use crate::support::samples::USER;
use crate::support::tools;

/// What the Makefile and CMake read, too.
const VARIABLES: [&str; 16] = [
    "PREFIX",
    "DESTDIR",
    "LIBDIR",
    "INCLUDEDIR",
    "MANDIR",
    "DOCDIR",
    "TARGET",
    "LIBRARIES",
    "CARGO",
    "RUSTC",
    "CARGO_BUILD_TARGET",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "PKG_CONFIG_PATH",
    "CMAKE_PREFIX_PATH",
];

/// A program without the settings of whoever runs the tests.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("LC_ALL", "C.UTF-8").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// `make` in the source folder, with what was built already.
pub fn make() -> Command {
    let mut make = command("make");
    make.arg("--no-print-directory").env("CARGO_TARGET_DIR", artefacts().unwrap().folder.parent().unwrap());
    make
}

/// A prefix that the library was installed into, and which was moved afterwards.
pub struct Installed {
    folder: TempDir,
}

impl Installed {
    /// `None` without the tools to make it.
    pub fn get() -> Option<&'static Installed> {
        static INSTALLED: OnceLock<Option<Installed>> = OnceLock::new();
        INSTALLED
            .get_or_init(|| {
                artefacts()?;
                let folder = tempfile::tempdir().unwrap();
                let first = folder.path().join("first");
                tools::run(make().arg("install").arg(format!("PREFIX={}", first.display())));
                fs::rename(first, folder.path().join("moved")).unwrap();
                Some(Installed { folder })
            })
            .as_ref()
    }

    pub fn prefix(&self) -> PathBuf {
        self.folder.path().join("moved")
    }

    /// A command that finds the installed copy with pkg-config and CMake.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = command(program);
        command.env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig")).env("CMAKE_PREFIX_PATH", self.prefix());
        command
    }

    /// The flags that pkg-config prints for the library.
    pub fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let output = tools::run(self.command("pkg-config").args(arguments).arg("hookmyapp"));
        output.split_whitespace().map(str::to_owned).collect()
    }
}

/// The compilers for C and C++ that must be able to link the library.
pub fn compilers() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("gcc", "g++"), ("clang", "clang++")].into_iter().filter(|(c, cpp)| tools::is_there(c) && tools::is_there(cpp))
}

pub fn are_there(names: &[&str]) -> bool {
    names.iter().all(|name| tools::is_there(name))
}

/// Whether tests that take minutes are wanted; then all these tools must be installed.
pub fn is_packaging_wanted(names: &[&str]) -> bool {
    let wanted = env::var_os("HMA_TEST_PACKAGING").is_some_and(|it| it == "1");
    if !wanted {
        eprintln!("not tested, because HMA_TEST_PACKAGING is not 1");
        return false;
    }
    names.iter().for_each(|name| assert!(tools::is_there(name), "{name} is missing"));
    true
}

/// Copies a folder of this package, as the start of a project.
pub fn copy_of(example: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(tools::file(example)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Copies the source, without build output.
pub fn copy_of_source() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_source_to(folder.path());
    folder
}

/// Copies the source, without build output, and with the times of the files: cargo builds only changed files again.
pub fn copy_source_to(folder: &Path) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (name, path) = entry.map(|it| (it.file_name(), it.path())).unwrap();
            if [".git", "target", "out", "build"].iter().any(|it| name == *it) {
                continue;
            }
            let copied = to.join(name);
            if path.is_dir() {
                copy(&path, &copied);
            } else {
                fs::copy(&path, &copied).unwrap();
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                fs::File::options().write(true).open(&copied).unwrap().set_modified(modified).unwrap();
            }
        }
    }
    copy(Path::new(env!("CARGO_MANIFEST_DIR")), folder);
}

/// Runs a program that sends one text to the user it is given: first one that takes it, then one that is not there.
pub fn check_hello(program: &Path) {
    let gateway = Gateway::start().unwrap();
    let say_hello = |recipient: &str| -> Output {
        let mut command = command(program);
        lead_to(&gateway, &mut command).arg(recipient).output().unwrap()
    };
    let output = say_hello(USER);
    assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", program.display(), tools::shown(&output));
    assert_eq!(output.stdout, b"sent\n");
    let texts: Vec<_> = gateway.received().iter().map(|it| it.json().unwrap()["message"]["text"].clone()).collect();
    assert_eq!(texts, ["Hello from my app"]);

    let output = say_hello("@somebody");
    assert_eq!(output.status.code(), Some(1), "{}", tools::shown(&output));
    assert!(gateway.received().len() == 1 && !output.stderr.is_empty());
}

/// The shared library that a program asks for, if it asks for ours.
pub fn needs_shared_library(program: &Path) -> bool {
    tools::run(command("readelf").arg("-dW").arg(program)).contains("[libhookmyapp.so.")
}

/// Every file and folder below a folder, relative and in order; links with what they lead to.
pub fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match fs::read_link(&path) {
                Ok(target) => found.push(format!("{name} -> {}", target.display())),
                Err(_) if path.is_dir() => {
                    walk(&path, root, found);
                    found.push(format!("{name}/"));
                }
                Err(_) => found.push(name),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
