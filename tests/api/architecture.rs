//! `ARCHITECTURE.md`: no file of `src/` imports one that stands above it, so that there is no circle of imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The parts of the library. Each imports only from parts that stand further down.
const PARTS: [&str; 16] = [
    "fuzzing",
    "capi",
    "client",
    "decode",
    "transport",
    "encode",
    "request_path",
    "text_parts",
    "message",
    "config",
    "webhook",
    "error",
    "response",
    "window",
    "nul_string",
    "json",
];

/// The modules of `src/`, such as `transport::pool`, each with its text; `mod.rs` is the module of its folder.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    collect(Path::new("src"), "", &mut modules);
    modules.remove("lib");
    modules
}

fn collect(folder: &Path, prefix: &str, modules: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}::"), modules);
        } else {
            let module =
                if name == "mod" { prefix.trim_end_matches(':').to_owned() } else { format!("{prefix}{name}") };
            modules.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The modules that a module imports outside its tests: those that its `use` lines and its `crate::` paths name. The
/// module of a folder imports all of the folder.
fn imports(module: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code: String = modules[module]
        .split("#[cfg(test)]")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let inside = format!("{module}::");
    let mut found: BTreeSet<String> = modules.keys().filter(|other| other.starts_with(&inside)).cloned().collect();
    for statement in code.split(';') {
        let Some((_, path)) = statement.rsplit_once("use ").filter(|(before, _)| is_statement(before)) else {
            continue;
        };
        for path in expand(path) {
            let path = match (path.strip_prefix("crate::"), path.strip_prefix("super::")) {
                (Some(path), _) => path.to_owned(),
                (_, Some(path)) => format!("{}{path}", parent(module)),
                _ => continue,
            };
            found.extend(module_of(&path, modules));
        }
    }
    for path in code.split("crate::").skip(1) {
        let end = path.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(path.len());
        found.extend(module_of(&path[..end], modules));
    }
    found.remove(module);
    found
}

/// Whether what stands before `use` on its line lets it be a statement.
fn is_statement(before: &str) -> bool {
    matches!(before.rsplit('\n').next().unwrap().trim(), "" | "pub" | "pub(crate)" | "pub(super)")
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expand(path: &str) -> Vec<String> {
    match path.split_once('{') {
        None => vec![path.trim().to_owned()],
        Some((front, items)) => {
            let items = items.trim().trim_end_matches('}');
            items.split(',').map(|item| format!("{}{}", front.trim(), item.trim())).collect()
        }
    }
}

/// `transport::` for `transport::pool`.
fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or_else(String::new, |(parent, _)| format!("{parent}::"))
}

/// The module that holds an item: the longest one whose path the item's path begins with.
fn module_of(path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let holds = |module: &&String| path == **module || path.starts_with(&format!("{module}::"));
    modules.keys().filter(holds).max_by_key(|module| module.len()).cloned()
}

#[test]
fn no_part_of_the_library_imports_one_above_it() {
    let modules = modules();
    let place = |module: &str| {
        let part = module.split("::").next().unwrap();
        PARTS.iter().position(|name| *name == part).unwrap_or_else(|| panic!("{part} is not among the parts"))
    };
    let mut seen = 0;
    for module in modules.keys() {
        for import in imports(module, &modules) {
            assert!(place(module) <= place(&import), "{module} imports {import}, which stands above it");
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} imports were found");
}

#[test]
fn no_two_files_import_each_other_even_by_a_detour() {
    let modules = modules();
    let mut left: BTreeMap<String, BTreeSet<String>> =
        modules.keys().map(|module| (module.clone(), imports(module, &modules))).collect();
    // What imports nothing that is left is in no circle.
    while let Some(module) = left.iter().find(|(_, imports)| imports.is_empty()).map(|(module, _)| module.clone()) {
        left.remove(&module);
        left.values_mut().for_each(|imports| imports.retain(|import| *import != module));
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:#?}");
}
