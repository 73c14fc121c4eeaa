//! `docs/delivery.md`: every promise names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all functions that are tests, in `tests/` and `src/`, the C programs' included.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(Path::new("tests"), &mut names);
    collect(Path::new("src"), &mut names);
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let marked = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
            names.extend(marked.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let document = fs::read_to_string("docs/delivery.md").unwrap();
    let tests = tests();
    let mut named = 0;
    for row in document.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let last = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        for name in last.split('`').skip(1).step_by(2) {
            assert!(tests.contains(name), "{name} is no test; the row is {row}");
            named += 1;
        }
    }
    assert!(named > 15, "only {named} tests are named");
}
