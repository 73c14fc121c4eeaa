//! With the feature `header`, generates the C header in `OUT_DIR`. Otherwise does nothing.
//!
//! The build never writes to the sources. A test compares the result with `include/hookmyapp.h`, and `make header`
//! copies it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header::generate();
}

#[cfg(feature = "header")]
mod header {
    use std::env;
    use std::path::Path;

    /// In the order of the header.
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
