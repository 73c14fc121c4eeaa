//! A child process with an environment of its own: this same test program, in which one ignored test says what the
//! library makes of that environment.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

use hookmyapp::{Client, Config};

use super::environment::without_settings;

/// Names the file that the child reads its configuration from, instead of the environment.
pub const ENV_FILE: &str = "HMA_CHILD_ENV_FILE";
/// Names whom the child sends a text to.
pub const RECIPIENT: &str = "HMA_CHILD_RECIPIENT";

const MARK: &str = "child: ";

/// What the child says, line by line: `url` or `error`, the `warning`s, and what it `sent`.
pub fn report<V: AsRef<OsStr>>(environment: &[(&str, V)]) -> Vec<String> {
    // Under an emulator, such as qemu-aarch64, the system does not know how to start this program.
    let runner = env::var("HMA_TEST_RUNNER").unwrap_or_default();
    let program = env::current_exe().unwrap();
    let mut words = runner.split_whitespace().map(OsStr::new).chain([program.as_os_str()]);
    let mut child = Command::new(words.next().unwrap());
    child.args(words).args(["--exact", "support::child::print_what_the_environment_gives", "--ignored", "--nocapture"]);
    without_settings(&mut child);
    let output = child.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    output.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
}

#[test]
#[ignore = "other tests run it in a child process"]
fn print_what_the_environment_gives() {
    let say = |line: String| println!("\n{MARK}{line}");
    let (config, client) = match env::var_os(ENV_FILE) {
        Some(path) => {
            let config = Config::from_env_file(path);
            let client = Client::new(&config);
            (config, client)
        }
        None => (Config::from_env(), Client::from_env()),
    };
    config.warnings().iter().for_each(|warning| say(format!("warning {warning:?}")));
    match client {
        Err(error) => say(format!("error {:?} {error}", error.kind())),
        Ok(client) => {
            say(format!("url {}", config.url().unwrap()));
            if let Ok(recipient) = env::var(RECIPIENT) {
                match client.send_text(&recipient, "Hello from a child process") {
                    Ok(sent) => say(format!("sent {}", sent.message_id().unwrap())),
                    Err(error) => say(format!("error {:?} {error}", error.kind())),
                }
            }
        }
    }
}
