//! The same source gives the same libraries, whatever folder, cargo home and target folder they are built with.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::installed::{command, copy_source_to, is_packaging_wanted};
use crate::support::artefacts::artefacts;
use crate::support::tools;

/// Where cargo keeps the crates.
pub fn cargo_home() -> PathBuf {
    let default = || PathBuf::from(env::var_os("HOME").unwrap()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(default, PathBuf::from)
}

/// No file names a folder of this machine.
pub fn assert_names_no_folder(file: &Path, folders: &[&Path]) {
    let bytes = fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for folder in folders {
        let name = folder.to_str().unwrap();
        if let Some(at) = text.find(name) {
            let found: String = text[at..].chars().take(name.len() + 80).collect();
            panic!("{} contains {found:?}", file.display());
        }
    }
}

#[test]
fn libraries_are_the_same_from_another_folder_and_cargo_home() {
    if !is_packaging_wanted(&["make", "cargo", "cc"]) {
        return;
    }
    let here = &artefacts().unwrap().folder;
    // Always the same folder, so that only the first test builds everything.
    let elsewhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere");
    let [source, home, target] = ["source", "cargo-home", "target"].map(|name| elsewhere.join(name));
    let _ = fs::remove_dir_all(&source);
    let _ = fs::remove_dir_all(&home);
    copy_source_to(&source);
    // Another home with the same crates: nothing is downloaded.
    fs::create_dir_all(&home).unwrap();
    for name in ["registry", "config.toml"] {
        let original = cargo_home().join(name);
        if original.exists() {
            symlink(original, home.join(name)).unwrap();
        }
    }
    let mut make = command("make");
    make.arg("--no-print-directory").arg("all").current_dir(&source);
    tools::run(make.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", &target).env("CARGO_NET_OFFLINE", "true"));

    let sysroot = tools::run(command("rustc").args(["--print", "sysroot"]));
    let folders = [Path::new(env!("CARGO_MANIFEST_DIR")), &elsewhere, &cargo_home(), Path::new(sysroot.trim())];
    for name in ["libhookmyapp.a", "libhookmyapp.so"] {
        let [first, second] = [here.join(name), target.join("release").join(name)];
        assert_names_no_folder(&first, &folders);
        assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{first:?} and {second:?} differ");
    }
}

#[test]
fn remapping_paths_keeps_the_flags_of_the_user() {
    if !tools::is_there("make") {
        return;
    }
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        let mut make = command("make");
        make.args(["--dry-run", "all"]).env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_RUSTFLAGS");
        let commands = tools::run(make.env("CARGO_HOME", "/home/me/.cargo").env(name, "--cfg own"));
        let start = format!("{name}=\"--remap-path-prefix={}=/hookmyapp ", env!("CARGO_MANIFEST_DIR"));
        let line = commands.lines().find(|line| line.trim_start().starts_with(&start)).expect(&commands);
        let flags = line.split('"').nth(1).unwrap();
        assert!(
            flags.contains(" --remap-path-prefix=/home/me/.cargo=/cargo ") && flags.ends_with(" --cfg own"),
            "{line}"
        );
    }
}
