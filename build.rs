//! With the feature `header`, makes the C header of the exported functions in `OUT_DIR`. Without it, does nothing.
//!
//! The sources are never written to: a test compares the result with `include/hookmyapp.h`, `make header` copies it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header::generate();
}

#[cfg(feature = "header")]
mod header {
    use std::env;
    use std::path::Path;

    /// In the order in which the header shows them.
    const SOURCES: [&str; 7] = ["status", "config", "client", "message", "response", "webhook", "events"];

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
        let mut builder = cbindgen::Builder::new().with_config(config);
        for source in SOURCES {
            builder = builder.with_src(format!("src/capi/{source}.rs"));
        }
        let header = Path::new(&env::var_os("OUT_DIR").unwrap()).join("hookmyapp.h");
        builder.generate().unwrap().write_to_file(header);
    }
}
