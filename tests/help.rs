//! The help of each verb as a snapshot, and its examples, which are run.

use crate::support::graph::Graph;
use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Workplace, parallel};

const VERBS: [&str; 14] = [
    "init", "packages", "check", "preview", "approve", "export", "send", "status", "report",
    "sync", "suppress", "resolve", "forget", "ledger",
];

#[test]
fn each_verb_has_its_help() {
    let workplace = Workplace::english(1);
    for verb in VERBS {
        let output = workplace.run(&[verb, "--help"]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        insta::assert_snapshot!(format!("help_of_{verb}"), output.stdout);
    }
    let output = workplace.run(&["--help"]);
    insta::assert_snapshot!("help", output.stdout);
}

/// The words of a command line, those in quotes whole.
pub fn words(line: &str) -> Vec<String> {
    line.split('"')
        .enumerate()
        .flat_map(|(nth, part)| match nth % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn each_example_in_the_help_runs() {
    let helps = VERBS.map(|verb| vec![verb, "--help"]);
    let helps: Vec<_> = helps.into_iter().chain([vec!["--help"]]).collect();
    parallel::for_each(4, &helps, |help| {
        let help = Workplace::english(1).run(help).stdout;
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        let examples: Vec<&str> = examples.lines().collect();
        assert_eq!(examples.len(), 2, "{help}");
        for example in examples {
            let words = words(example.strip_prefix("  access-invite ").unwrap());
            let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
            // Examples that read or decide need earlier runs.
            let decided = matches!(arguments[0], "status" | "resolve");
            let server = Server::start(move |call: &Call| match call.stage {
                Stage::Dot if decided => Action::Close,
                _ => Action::Normal,
            });
            let mut workplace = Workplace::english(server.port());
            workplace.extra = "[bounces]\nmbox = \"bounces.mbox\"".into();
            workplace.configure();
            workplace.write(
                "bounces.mbox",
                "From x Mon Nov 30 09:01:00 2026\nSubject: x\n\n",
            );
            workplace.write("returned.eml", "Subject: x\n\n");
            let graph = Graph::start();
            if arguments[0] == "packages" {
                graph.configure(&mut workplace, None);
            }
            workplace.partners(&["ada@fabrikam.example"]);
            if decided {
                assert_eq!(workplace.run(&["send"]).code, 3);
            }
            if arguments[0] == "approve" {
                assert_eq!(workplace.run(&["preview"]).code, 0);
            }

            let output = workplace.run(&arguments);

            assert_eq!(output.code, 0, "{example}: {output:?}");
        }
    });
}
