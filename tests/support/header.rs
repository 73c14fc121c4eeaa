//! What a C header declares, with its comments, read from its text.

use std::collections::BTreeMap;

/// One declaration and the comment in front of it, both on one line.
#[derive(Debug)]
pub struct Declaration {
    pub doc: String,
    pub code: String,
}

#[derive(Debug)]
pub struct Function {
    pub doc: String,
    pub name: String,
    pub returns: String,
    pub parameters: Vec<String>,
}

#[derive(Debug)]
pub struct Constant {
    pub doc: String,
    pub name: String,
    pub value: String,
}

#[derive(Debug)]
pub struct Type {
    pub doc: String,
    pub name: String,
    /// A handle has no parts that C can see; the other types are integers.
    pub is_handle: bool,
}

#[derive(Debug, Default)]
pub struct Header {
    pub functions: Vec<Function>,
    pub constants: Vec<Constant>,
    pub types: Vec<Type>,
    /// Lines such as `#include <stddef.h>`.
    pub includes: Vec<String>,
}

impl Header {
    pub fn parse(text: &str) -> Header {
        let mut header = Header::default();
        for declaration in declarations(text) {
            header.add(declaration);
        }
        assert!(!header.functions.is_empty() && !header.constants.is_empty() && !header.types.is_empty());
        header
    }

    fn add(&mut self, Declaration { doc, code }: Declaration) {
        if code.starts_with("#include") {
            self.includes.push(code);
        } else if let Some(definition) = code.strip_prefix("#define ") {
            // A guard has no value.
            if let Some((name, value)) = definition.split_once(' ') {
                self.constants.push(Constant { doc, name: name.to_owned(), value: value.trim().to_owned() });
            }
        } else if code.starts_with("typedef ") {
            let name = code.trim_end_matches(';').rsplit(' ').next().unwrap().to_owned();
            self.types.push(Type { doc, name, is_handle: code.starts_with("typedef struct ") });
        } else if code.contains('(') {
            self.functions.push(function(doc, &code));
        }
    }

    pub fn function_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub fn constant_values(&self) -> BTreeMap<&str, &str> {
        self.constants.iter().map(|constant| (constant.name.as_str(), constant.value.as_str())).collect()
    }
}

fn function(doc: String, code: &str) -> Function {
    let (before, after) = code.split_once('(').unwrap();
    let name_at = before.rfind([' ', '*']).unwrap() + 1;
    let (returns, name) = before.split_at(name_at);
    let parameters = after.trim_end_matches(");").split(", ").filter(|parameter| *parameter != "void");
    Function {
        doc,
        name: name.to_owned(),
        returns: returns.trim().to_owned(),
        parameters: parameters.map(str::to_owned).collect(),
    }
}

/// Directives and declarations in order; `extern "C"` and its brace are ignored.
fn declarations(text: &str) -> Vec<Declaration> {
    let (mut found, mut doc, mut code) = (Vec::new(), String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if code.is_empty() && line.starts_with("/*") {
            doc = comment(line, &mut lines);
            continue;
        }
        if line.is_empty() || line.starts_with("extern \"C\"") || line.starts_with('}') {
            continue;
        }
        code = format!("{code} {line}").trim().to_owned();
        if code.starts_with('#') || code.ends_with(';') {
            found.push(Declaration { doc: std::mem::take(&mut doc), code: std::mem::take(&mut code) });
        }
    }
    assert!(code.is_empty(), "no end of {code}");
    found
}

/// The words of a comment that begins with `first`, without stars, on one line.
fn comment<'a>(first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut words = Vec::new();
    let mut line = first;
    loop {
        let inner = line.trim().trim_start_matches('/').trim_start_matches('*').trim_end_matches('/');
        words.extend(inner.trim_end_matches('*').split_whitespace());
        if line.trim().ends_with("*/") {
            return words.join(" ");
        }
        line = lines.next().expect("a comment ends");
    }
}

/// Every word that begins with `prefix`, such as `hma_`, with what follows it.
pub fn words<'a>(text: &'a str, prefix: &str) -> Vec<(&'a str, &'a str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(is_word));
    starts
        .map(|(at, _)| {
            let length = text[at..].find(|c| !is_word(c)).unwrap_or(text.len() - at);
            text[at..].split_at(length)
        })
        .collect()
}
