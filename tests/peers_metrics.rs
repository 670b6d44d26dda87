//! Prometheus' own tool judges the file for Prometheus and the alerts that are shipped (Debian package `prometheus`).

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::metrics::{FILE, PARTNERS, job, relay, text};
use crate::support::{Output, output_of};

/// Runs promtool in the folder of the rules, which need not be installed in the usual place.
fn promtool(arguments: &[&str], input: Stdio) -> Output {
    let name = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut command = Command::new(name);
    command
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging"))
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    output_of(&mut command)
}

#[test]
#[ignore = "needs promtool"]
fn promtool_finds_nothing_wrong_in_the_file() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&PARTNERS);
    assert_eq!(workplace.run(&["send"]).code, 3);
    let check = |name: &str| {
        let file = File::open(workplace.file(name)).unwrap();
        promtool(&["check", "metrics"], file.into())
    };

    let checked = check(FILE);

    assert_eq!(
        (checked.code, checked.stdout + &checked.stderr),
        (0, String::new())
    );
    // It does find what is wrong.
    workplace.write("wrong", &text(&workplace).replace("# TYPE", "# TIPE"));
    workplace.write("wrong", &text(&workplace).replace("} 1\n", "} one\n"));
    assert_ne!(check("wrong").code, 0);
}

#[test]
#[ignore = "needs promtool"]
fn promtool_accepts_the_alerts_and_their_tests_pass() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = promtool(&arguments, Stdio::null());
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains("SUCCESS"), "{output:?}");
    }
    // Every alert has a test in which it is raised.
    let names = include_str!("../packaging/alerts.yml").lines();
    let names = names.filter_map(|it| it.trim().strip_prefix("- alert: "));
    let tests = include_str!("../packaging/alerts_test.yml");
    for name in names {
        assert!(
            tests.contains(&format!("        alertname: {name}\n        exp_alerts:\n")),
            "{name}"
        );
    }
}
