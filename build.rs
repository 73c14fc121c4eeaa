//! With the feature `header`, generates the C header, and its declarations alone, in `OUT_DIR`. Otherwise does nothing.
//!
//! The build never writes to the sources. A test compares the results with `include/`, and `make header` copies
//! them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header::generate();
}

#[cfg(feature = "header")]
mod header {
    use std::env;
    use std::fs;
    use std::path::Path;

    /// In the order of the header.
    const SOURCES: [&str; 8] = ["status", "config", "client", "fixed", "message", "response", "webhook", "events"];

    /// The first lines of the file for readers of declarations without a preprocessor.
    const DECLARATIONS: &str = "/*
 * hookmyapp.cdef.h - the declarations of hookmyapp.h without directives and
 * comments, for foreign function interfaces that have no preprocessor, such as
 * cffi (Python), LuaJIT and PHP FFI. hookmyapp.h documents them.
 *
 * Generated from src/capi by cbindgen: change the sources, then `make header`.
 */";

    pub fn generate() {
        println!("cargo::rerun-if-changed=src/capi");
        println!("cargo::rerun-if-changed=cbindgen.toml");

        let [major, minor, patch] =
            ["MAJOR", "MINOR", "PATCH"].map(|part| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap());
        let mut config = cbindgen::Config::from_file("cbindgen.toml").unwrap();
        config.after_includes.get_or_insert_default().push_str(&format!(
            "\n/** The version of this header; hma_version() is that of the library. */\n\
             #define HMA_VERSION_STRING \"{major}.{minor}.{patch}\"\n\
             #define HMA_VERSION_MAJOR {major}\n\
             #define HMA_VERSION_MINOR {minor}\n\
             #define HMA_VERSION_PATCH {patch}\n"
        ));
        write("hookmyapp.h", config.clone());

        config.header = Some(DECLARATIONS.to_owned());
        config.after_includes = None;
        config.trailer = None;
        config.documentation = false;
        write("hookmyapp.cdef.h", config);
    }

    fn write(name: &str, config: cbindgen::Config) {
        let mut builder = cbindgen::Builder::new().with_config(config);
        for source in SOURCES {
            builder = builder.with_src(format!("src/capi/{source}.rs"));
        }
        let mut text = Vec::new();
        builder.generate().unwrap().write(&mut text);
        // C89 and C++98 allow no comma after the last enumerator, and cbindgen always writes one.
        let text = String::from_utf8(text).unwrap().replace(",\n}", "\n}");
        fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join(name), text).unwrap();
    }
}
