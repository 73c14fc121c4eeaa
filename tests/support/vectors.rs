//! The files of `tests/vectors/`, read so strictly that no field is ignored.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// Every file of a folder, in order, each with its stem (`01-text`).
pub fn read_all(folder: &str) -> Vec<(String, Fields)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder);
    let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", path.display());
    files.into_iter().map(|path| read(folder, &path)).collect()
}

fn read(folder: &str, path: &Path) -> (String, Fields) {
    let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(path).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut fields = Fields::new(format!("{folder}/{stem}"), json);
    fields.set_aside(&["name", "description", "source", "certainty"]);
    (stem, fields)
}

/// The members of an object. Each must be taken, or set aside by name: what is left at the end fails the test.
#[derive(Debug)]
pub struct Fields {
    place: String,
    left: Map<String, Value>,
}

impl Fields {
    pub fn new(place: impl Into<String>, value: Value) -> Fields {
        let place = place.into();
        match value {
            Value::Object(left) => Fields { place, left },
            other => panic!("{place}: {other} is not an object"),
        }
    }

    /// File and field, to say where something went wrong.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    /// A member that must be there.
    pub fn need(&mut self, name: &str) -> Value {
        self.take(name).unwrap_or_else(|| panic!("{}: has no {name}", self.place))
    }

    pub fn text(&mut self, name: &str) -> String {
        self.optional_text(name).unwrap_or_else(|| panic!("{}: has no {name}", self.place))
    }

    /// `None` for null, too.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => panic!("{}: {name} is {other}, not a text", self.place),
        }
    }

    /// `None` for null, too.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        Some(value.as_i64().unwrap_or_else(|| panic!("{}: {name} is {value}, not an integer", self.place)))
    }

    pub fn flag(&mut self, name: &str) -> bool {
        let value = self.take(name).unwrap_or(Value::Bool(false));
        value.as_bool().unwrap_or_else(|| panic!("{}: {name} is {value}, neither true nor false", self.place))
    }

    pub fn object(&mut self, name: &str) -> Fields {
        Fields::new(format!("{}.{name}", self.place), self.need(name))
    }

    pub fn texts(&mut self, name: &str) -> Vec<String> {
        serde_json::from_value(self.need(name)).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.place))
    }

    pub fn objects(&mut self, name: &str) -> Vec<Fields> {
        let Value::Array(items) = self.need(name) else { panic!("{}: {name} is not a list", self.place) };
        let item = |(at, item)| Fields::new(format!("{}.{name}[{at}]", self.place), item);
        items.into_iter().enumerate().map(item).collect()
    }

    /// All that is left, which must be texts.
    pub fn rest(&mut self) -> Vec<(String, String)> {
        let names: Vec<String> = self.left.keys().cloned().collect();
        names.into_iter().map(|name| (name.clone(), self.text(&name))).collect()
    }

    /// All that is left.
    pub fn take_all(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.left)
    }

    /// A text that is to be looked at and left where it is.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.left.get(name)?.as_str()
    }

    pub fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Passes over what is not to be compared.
    pub fn set_aside(&mut self, names: &[&str]) {
        self.left.retain(|name, _| !names.contains(&name.as_str()));
    }

    pub fn set_all_aside(&mut self) {
        self.left.clear();
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left: Vec<&String> = self.left.keys().collect();
            assert!(left.is_empty(), "{}: nothing looked at {left:?}", self.place);
        }
    }
}
