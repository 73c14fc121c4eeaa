//! The variables that the library reads, for programs that tests start.

use std::process::Command;

use super::gateway::Gateway;

const NAMES: [&str; 11] = [
    "INSTAGRAM_API_URL",
    "INSTAGRAM_GRAPH_API_URL",
    "INSTAGRAM_ACCOUNT_ID",
    "INSTAGRAM_USER_ID",
    "INSTAGRAM_ACCESS_TOKEN",
    "WEBHOOK_HMAC_SECRET",
    "VERIFY_TOKEN",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Removes the settings of whoever runs the tests.
pub fn without_settings(command: &mut Command) -> &mut Command {
    NAMES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Sets what leads a program to this gateway, and nothing else.
pub fn lead_to<'a>(gateway: &Gateway, command: &'a mut Command) -> &'a mut Command {
    without_settings(command)
        .env("INSTAGRAM_API_URL", gateway.base_url())
        .env("INSTAGRAM_ACCOUNT_ID", gateway.account_id())
        .env("INSTAGRAM_ACCESS_TOKEN", gateway.token())
}
