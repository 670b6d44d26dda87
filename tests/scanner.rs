//! Tests of the scanner that checks the output of every run of the binary.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::support::Workplace;
use crate::support::node::CLIENT;
use crate::support::scanner::{PASSWORD, TOKEN, fault_in, secret_in};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

#[test]
fn secrets_escape_sequences_and_rust_names_are_found() {
    let plain = BASE64.encode(format!("\0ada\0{PASSWORD}"));
    let bearer = BASE64.encode(format!("user=ada\x01auth=Bearer {TOKEN}\x01\x01"));
    let secrets = [
        format!("the password is {PASSWORD}"),
        format!("the password begins with {}", &PASSWORD[..20]),
        format!("and ends with {}", &PASSWORD[10..]),
        format!("AUTH PLAIN {plain}"),
        format!("AUTH XOAUTH2 {bearer}"),
        BASE64.encode(PASSWORD),
        BASE64.encode(format!("1{PASSWORD}")),
        BASE64.encode(format!("12{PASSWORD}")),
        format!("{:?}", PASSWORD.as_bytes()),
        PASSWORD.bytes().map(|it| format!("{it:02x}")).collect(),
        "the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl expired".into(),
        "the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIi… expired".into(),
        "client_assertion=eyJ0eXAiOiJKV1QiLCJhbGciOiJQUzI1NiJ9.e30.c2ln&scope=smtp".into(),
        format!(
            "AUTH OAUTHBEARER {}",
            BASE64.encode("n,a=ada,\x01auth=Bearer t\x01\x01")
        ),
        CLIENT[CLIENT.find("-----BEGIN PRIVATE").unwrap()..].into(),
        CLIENT.lines().rev().skip(2).take(20).collect(),
    ];
    for text in secrets {
        assert!(fault_in(&text).is_some(), "{text}");
        assert!(secret_in(text.as_bytes()).is_some(), "{text}");
    }
    let commands = [
        "\x1b[31mred",
        "a\x07bell",
        "over\rwritten",
        "c1 \u{9b}31m",
        "turned \u{202e}round",
    ];
    let names = [
        "error: Error { kind: 3 }",
        "invalid peer certificate: UnknownIssuer(x)",
        "called `Option::unwrap()` on a `None` value",
        "thread 'main' panicked at src/main.rs:3:5:",
        "Some(3)",
        "found (None, 3)",
        "std::io::error",
        "a Utf8Error",
        "No such file or directory (os error 2)",
        "Custom { kind: Other }",
        "TlsState { open",
    ];
    for text in commands.into_iter().chain(names) {
        assert!(fault_in(text).is_some(), "{text:?}");
    }
}

#[test]
fn permitted_output_passes_the_scanner() {
    for text in [
        "",
        "partners.csv:14, column email, \"x\": it is not an address, because it has no `@`\n",
        "error: [::1]:25: the relay said: 550 5.7.60 SMTP; Client (SendAsDenied) does not have permissions",
        "the file is from LibreOffice or PowerPoint\n\tand has a tab; {\"state\": \"x\"}: None of them, Ok?",
        "Error: no",
        "password_file and token_command",
    ] {
        assert_eq!(fault_in(text), None, "{text}");
    }
}

#[test]
fn every_run_of_the_binary_is_scanned() {
    let workplace = Workplace::new(1);
    let mut caught = 0;
    // A substitute for the binary prints forbidden text.
    for printed in [PASSWORD, "\\033[1m", "Some(1)"] {
        for stream in ["", " >&2"] {
            let script = format!("printf '{printed}'{stream}; true");
            let run = || workplace.run_under(&["sh", "-c", &script], &[]);
            caught += usize::from(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
    assert_eq!(caught, 6);
    let run = || workplace.run_under(&["sh", "-c", "printf fine"], &[]);
    assert!(catch_unwind(AssertUnwindSafe(run)).is_ok());

    // Files are scanned at the end.
    let left = |write: &dyn Fn(&Workplace)| {
        let workplace = Workplace::new(1);
        write(&workplace);
        catch_unwind(AssertUnwindSafe(|| drop(workplace))).is_err()
    };
    assert!(!left(&|it| it.write("password", PASSWORD)), "planted");
    assert!(left(
        &|it| std::fs::write(it.file("results.csv"), PASSWORD).unwrap()
    ));

    // Processes are scanned while they run: the arguments, and the environment of what they start.
    let leaks = |script: &[&str]| {
        let run = || workplace.run_under(script, &[]);
        catch_unwind(AssertUnwindSafe(run)).is_err()
    };
    assert!(leaks(&["sh", "-c", &format!("sleep 0.3; : {PASSWORD}")]));
    for (started, is_leak) in [
        (format!("sh -c 'sleep 0.3; : {PASSWORD}'; true"), true),
        (format!("KEY={TOKEN} sleep 0.3; true"), true),
        (format!("sleep 0.3; : {PASSWORD}"), false),
    ] {
        // The shell reads its script from a file, which may contain the secret.
        workplace.write("script", &started);
        assert_eq!(leaks(&["sh", "script"]), is_leak, "{started}");
    }

    // No other code starts the binary.
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(tests).unwrap() {
        let path = entry.unwrap().path();
        let this = path.ends_with("scanner.rs");
        if this || path.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let starts = ["binary()", "CARGO_BIN_EXE", "cargo_bin", "strace("];
        let escapes = [".output()", ".spawn()"];
        if starts.iter().any(|it| source.contains(it)) {
            for way in escapes {
                assert!(!source.contains(way), "{}: {way}", path.display());
            }
        }
    }
}
