//! The library as a C programmer gets it, and programs that are linked with it.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::environment::without_settings;
use super::tools;

/// What `make` makes.
pub struct Artefacts {
    /// Holds libraries and headers.
    pub folder: PathBuf,
    /// What rustc says a program must be linked with; `None` if the library was made before this test.
    pub private_libraries: Option<String>,
}

/// The library in HMA_LIBRARY_DIR, or else one that the Makefile's own commands make; `None` without `make`.
pub fn artefacts() -> Option<&'static Artefacts> {
    static MADE: OnceLock<Option<Artefacts>> = OnceLock::new();
    MADE.get_or_init(|| match env::var_os("HMA_LIBRARY_DIR") {
        Some(folder) => Some(Artefacts { folder: folder.into(), private_libraries: None }),
        None => tools::is_there("make").then(make),
    })
    .as_ref()
}

/// Runs what `make` runs, and lets rustc name the libraries, which changes nothing else.
fn make() -> Artefacts {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("make");
    let in_package = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", &target);
        ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    };
    let commands: Vec<String> = tools::run(in_package("make").args(["--dry-run", "all"]))
        .lines()
        .map(
            |line| {
                if line.contains(" rustc ") { format!("{line} --print native-static-libs") } else { line.to_owned() }
            },
        )
        .collect();
    let output = in_package("sh").args(["-ec", &commands.join("\n")]).output().unwrap();
    assert!(output.status.success(), "{commands:?}\n{}", tools::shown(&output));
    let said = String::from_utf8(output.stderr).unwrap();
    let private_libraries = said.lines().find_map(|line| line.split_once("native-static-libs: ")).map(|(_, it)| it);
    Artefacts { folder: target.join("release"), private_libraries: Some(private_libraries.unwrap().to_owned()) }
}

/// What the Makefile tells programs to link with the static library.
pub fn private_libraries() -> Vec<String> {
    let makefile = tools::read("Makefile");
    let mut lines = makefile.lines().filter_map(|line| line.strip_prefix("PRIVATE_LIBS := "));
    let line = if cfg!(target_os = "macos") { lines.next() } else { lines.next_back() };
    line.unwrap().split_whitespace().map(str::to_owned).collect()
}

/// The words of a link line, in any order and each once; `-framework X` is one word.
pub fn libraries(line: &str) -> BTreeSet<String> {
    let joined = line.replace("-framework ", "-framework=");
    joined
        .split_whitespace()
        .filter(|word| word.starts_with("-l") || word.starts_with("-f"))
        .map(str::to_owned)
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Linked {
    Static,
    Shared,
}

pub const BOTH: [Linked; 2] = [Linked::Static, Linked::Shared];

/// The compiler that is meant for a source, with its standard: the oldest that the header promises.
pub fn compiler_for(source: &Path) -> Vec<String> {
    let is_cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let (variable, default, flags, standard) =
        if is_cpp { ("CXX", "c++", "HMA_CXXFLAGS", "-std=c++11") } else { ("CC", "cc", "HMA_CFLAGS", "-std=c89") };
    let mut words = tools::compiler(variable, default);
    words.extend(tools::flags(flags));
    words.push(standard.to_owned());
    words
}

/// A program in `folder` that was made of `sources`, without a single warning.
pub fn compile(compiler: &[String], sources: &[PathBuf], linked: Linked, folder: &Path) -> Program {
    let artefacts = artefacts().expect("the library was made");
    let path = folder.join(format!("{}-{linked:?}", sources[0].file_stem().unwrap().to_str().unwrap()));
    let mut command = tools::command(compiler);
    command.args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-I"]).arg(&artefacts.folder).args(sources);
    // Without debug information: the valgrind of Debian 12 gives up on the form that Rust's own archive brings.
    command.args(["-Wl,-S", "-o"]).arg(&path).args(tools::flags("HMA_LDFLAGS"));
    match linked {
        Linked::Static => command.arg(artefacts.folder.join("libhookmyapp.a")).args(private_libraries()),
        Linked::Shared => command.arg("-L").arg(&artefacts.folder).args(["-lhookmyapp", "-lpthread"]),
    };
    tools::run(&mut command);
    Program { path, library_folder: artefacts.folder.clone() }
}

/// A program that is linked with the library.
pub struct Program {
    path: PathBuf,
    library_folder: PathBuf,
}

impl Program {
    /// Without the settings of whoever runs the tests.
    pub fn command(&self) -> Command {
        self.command_under(&[])
    }

    /// Behind another program with its arguments, such as valgrind.
    pub fn command_under(&self, runner: &[&str]) -> Command {
        let mut words = runner.to_vec();
        words.push(self.path.to_str().unwrap());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        without_settings(&mut command);
        let variable = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        command.env(variable, &self.library_folder);
        command
    }
}
