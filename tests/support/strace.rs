//! The binary under strace: watched, or with faults put into its system calls.

use std::path::Path;
use std::process::Command;

use super::binary;

/// `strace` in front of the binary, in the folder of the job, with these options.
pub fn strace(folder: &Path, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq"])
        .args(options)
        .arg(binary())
        .args(arguments)
        .current_dir(folder)
        .env_remove("ACCESS_INVITE_CONFIG")
        .env("TZ", "UTC")
        .stdin(std::process::Stdio::null());
    command
}
