//! `man` and `completions`: complete, and without references to pages that do not exist.

use std::collections::BTreeMap;
use std::process::Command;

use clap::CommandFactory;

use crate::init::tree;
use crate::support::{Output, Workplace};
use access_invite::cli::Cli;

/// The manual pages by their names, without `.1`.
fn pages() -> BTreeMap<String, String> {
    let workplace = Workplace::new(1);
    let output = workplace.run(&["man", "pages"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
    let name = |path: &std::path::Path| {
        path.to_str()
            .unwrap()
            .strip_suffix(".1")
            .unwrap()
            .to_owned()
    };
    let pages = tree(&workplace.file("pages"));
    pages
        .iter()
        .map(|(path, text)| (name(path), text.clone()))
        .collect()
}

#[test]
fn each_verb_has_a_page_with_its_options_and_examples() {
    let pages = pages();
    let main = &pages["access-invite"];
    for verb in Cli::command().get_subcommands() {
        let name = format!("access-invite-{}", verb.get_name());
        let page = &pages[&name];
        let reference = format!("{}(1)", name.replace('-', "\\-"));
        assert!(main.contains(&reference), "{reference}: {main}");
        assert!(page.contains("\\-\\-config"), "{page}");
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            let option = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&option), "{name} {option}");
        }
        let has_examples = verb.get_after_help().is_some();
        assert_eq!(page.contains(".SH EXAMPLES\n"), has_examples, "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
    }
}

#[test]
fn a_page_refers_only_to_pages_that_exist() {
    let pages = pages();
    let mut references = 0;
    for (name, page) in &pages {
        for line in page.lines().filter_map(|it| it.strip_suffix("(1)")) {
            let page = line.replace('\\', "");
            assert!(pages.contains_key(&page), "{name} refers to {page}");
            references += 1;
        }
    }
    assert_eq!(references, pages.len() - 1, "each page but the first");
    assert!(pages.contains_key("access-invite-ledger-backup"));
}

#[test]
fn pages_that_cannot_be_written_are_an_error() {
    let workplace = Workplace::new(1);
    workplace.write("pages", "");
    let output = workplace.run(&["man", "pages"]);
    assert_eq!(output.code, 74, "{output:?}");
    assert!(output.stderr.contains("cannot write `pages`"), "{output:?}");
}

#[test]
fn every_shell_gets_completions_for_every_verb() {
    let workplace = Workplace::new(1);
    for shell in ["bash", "elvish", "fish", "zsh"] {
        let output = workplace.run(&["completions", shell]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{shell}");
        for verb in Cli::command().get_subcommands() {
            assert!(output.stdout.contains(verb.get_name()), "{shell}");
        }
    }
    assert_eq!(workplace.run(&["completions", "tcsh"]).code, 2);
}

/// What bash offers for the last word of a command line.
pub fn bash_offers(run: impl Fn(&str) -> String, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(|it| format!("\"{it}\"")).collect();
    let [.., before, last] = &words[..] else {
        panic!("{line} has one word")
    };
    let script = format!(
        "COMP_WORDS=({}); COMP_CWORD={}; _access__invite access-invite {last} {before}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
    );
    run(&script).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let workplace = Workplace::new(1);
    let script = workplace.run(&["completions", "bash"]).stdout;
    workplace.write("completions", &script);
    let run = |script: &str| {
        let output = Command::new("bash")
            .args(["-c", &format!(". ./completions; {script}")])
            .current_dir(workplace.path())
            .output();
        let output = Output::of(output.unwrap());
        assert_eq!(output.stderr, "", "{script}");
        output.stdout
    };
    for (line, offered) in [
        ("access-invite pre", &["preview"][..]),
        ("access-invite send --san", &["--sandbox"]),
        ("access-invite -c other.toml status --st", &["--state"]),
        ("access-invite ledger ver", &["verify"]),
        (
            "access-invite init --provider post",
            &["postmark", "postfix"],
        ),
        ("access-invite completions z", &["zsh"]),
    ] {
        assert_eq!(bash_offers(run, line), offered, "{line}");
    }
}
