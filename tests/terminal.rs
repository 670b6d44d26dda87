//! The output on a terminal: question, progress bar, summary, table, as snapshots in
//! `tests/snapshots/`.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use std::fmt::Write;

use crate::support::sheet::normalized;
use crate::support::smtp::{Action, Call, Server, Stage, gate};
use crate::support::terminal::Terminal;
use crate::support::{Workplace, oracle};

/// A screen without times and what [`normalized`] removes.
fn steady(workplace: &Workplace, screen: &str) -> String {
    let screen = normalized(workplace, screen);
    let screen = screen.replace(&workplace.path().display().to_string(), "FOLDER");
    let mut text = String::new();
    for line in screen.lines() {
        // The prompt counts the commands.
        let line = line
            .trim_start_matches(|it: char| it.is_ascii_digit() && line.contains("$ access-invite"));
        let line = match line.split_once(" left") {
            Some((bar, rest)) if line.contains('█') => {
                let bar = bar.rsplit_once(", ").map_or(bar, |it| it.0);
                format!("{bar}, a while left{rest}")
            }
            _ => line.to_owned(),
        };
        let words = line.split_inclusive(' ').map(|word| {
            let bare = word.trim_end();
            let bare = bare.trim_end_matches([',', ';']);
            if bare.starts_with("--") {
                return word.to_owned();
            }
            let time = matches!(bare.len(), 5 | 8) && bare.as_bytes()[2] == b':';
            let digest = bare.contains("…-");
            if bare.starts_with("20") && bare.ends_with('…') {
                return word.replace(bare, "yyyy…");
            }
            let date = bare.len() == 10 && bare.matches('-').count() == 2;
            match () {
                () if time => word.replace(bare, "hh:mm"),
                () if date => word.replace(bare, "yyyy-mm-dd"),
                () if digest => word.replace(bare, "DIGEST"),
                () => word.to_owned(),
            }
        });
        text.extend(words);
        text.push('\n');
    }
    text
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn f8_a_signal_at_the_prompt_leaves_no_files() {
    for end in ["C-c", "C-\\", "close"] {
        let server = Server::accepting();
        let workplace = Workplace::new(server.port());
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        let terminal = Terminal::open(&workplace, 100, 30);
        terminal.begin("access-invite send");
        terminal.wait_for("[y/N]");

        if end == "close" {
            drop(terminal);
        } else {
            terminal.press(end);
            terminal.settle();
        }

        // The interrupted run left nothing; the next one starts from the beginning.
        let after = workplace.run(&["send"]);
        assert_eq!((after.code, after.stderr.as_str()), (0, ""), "{end}");
        oracle::check_settled(&workplace, &server, 2, 0);
    }
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn a_send_prompts_shows_progress_and_a_summary() {
    let (gate, keeper) = gate::gate();
    let server = Server::start(move |call: &Call| {
        match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => {
            Action::Reply(b"550 5.1.1 <bob@b.example>: Recipient address rejected: User unknown in virtual mailbox table\r\n".to_vec())
        }
        (Stage::Rcpt, Some(it)) if it.starts_with("cleo") => {
            Action::Reply(b"451 4.7.1 Greylisting in action, please come back later\r\n".to_vec())
        }
        (Stage::Dot, Some(it)) if it.starts_with("hal") => {
            Action::Hold(gate.clone(), Box::new(Action::Normal))
        }
        (Stage::Dot, Some(it)) if it.starts_with("ivy") => Action::Close,
        _ => Action::Normal,
    }
    });
    let mut workplace = Workplace::new(server.port());
    workplace.smtp += "\nconnections = 1\nhello = \"mail.contoso.example\"";
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    let names = [
        "ada", "bob", "cleo", "dan", "eva", "fay", "gus", "hal", "ivy", "jon",
    ];
    let rows: String = names
        .iter()
        .zip(["en", "fr", "de", "en", "fr-CA", "ja", "", "es", "en", "ar"])
        .map(|(name, locale)| format!("{name}@{}.example,{name},{locale}\n", &name[..1]))
        .collect();
    workplace.write(
        "partners.csv",
        &format!("email,name,locale\n{rows}kim@gmail.com,Kim,en\n"),
    );
    let terminal = Terminal::open(&workplace, 110, 40);
    let mut seen = Vec::new();

    seen.push(terminal.run("access-invite check --connect"));
    terminal.begin("access-invite send");
    seen.push(terminal.wait_for("[y/N]"));
    terminal.answer("n");
    seen.push(terminal.settle());
    terminal.begin("access-invite send");
    terminal.wait_for("[y/N]");
    terminal.answer("yes");
    keeper.wait();
    seen.push(terminal.wait_for("7/11"));
    keeper.release();
    seen.push(terminal.settle());
    seen.push(terminal.run("access-invite status"));
    seen.push(terminal.run("access-invite status cleo@c.example"));
    seen.push(terminal.run("access-invite send"));

    let seen: Vec<_> = seen.iter().map(|it| steady(&workplace, it)).collect();
    insta::assert_snapshot!(seen.join(&format!("\n{}\n\n", "~".repeat(110))));
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn an_interrupt_finishes_the_message_in_flight() {
    let (server, keeper) = Server::holding(Stage::Dot, 1);
    let mut workplace = Workplace::new(server.port());
    workplace.smtp += "\nconnections = 1";
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);
    // A narrow terminal, and no question.
    let terminal = Terminal::open(&workplace, 72, 30);

    terminal.begin("access-invite send --yes");
    keeper.wait();
    terminal.wait_for("1/3");
    terminal.press("C-c");
    let mut seen = vec![terminal.wait_for("stopping")];
    keeper.release();
    seen.push(terminal.settle());
    seen.push(terminal.run("access-invite status"));

    let seen: Vec<_> = seen.iter().map(|it| steady(&workplace, it)).collect();
    insta::assert_snapshot!(seen.join(&format!("\n{}\n\n", "~".repeat(72))));
    assert_eq!(server.accepted().len(), 2);
}

/// Partners with names, languages and domains of many widths, and the relay's replies to them.
fn a_mixed_job() -> (Server, Workplace) {
    let server = Server::start(|call: &Call| {
        match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("anne") => Action::Reply(
            b"550 5.1.1 <anne>: Recipient address rejected: User unknown in virtual mailbox table\r\n".to_vec(),
        ),
        (Stage::Rcpt, Some(who)) if who.starts_with("taro") => {
            Action::Reply("451 4.7.1 しばらくしてからもう一度お試しください、混雑しています\r\n".into())
        }
        (Stage::Dot, Some(who)) if who.starts_with("ivy") => Action::Close,
        _ => Action::Normal,
    }
    });
    let mut workplace = Workplace::new(server.port());
    workplace.smtp += "\nconnections = 1\nhello = \"mail.contoso.example\"";
    workplace.configure();
    let mut rows = String::from("email,name,locale\n");
    for (address, name, locale) in [
        (
            "anne-cecile.vandenbroeck@havenbedrijf-antwerpen.example",
            "Anne-Cécile",
            "nl",
        ),
        ("taro@港湾設計.example", "山田 太郎", "ja"),
        ("ivy@i.example", "Ivy 🚢", "en"),
        ("m.alsayed@miraya.example", "محمد السيد", "ar"),
    ] {
        writeln!(rows, "{address},{name},{locale}").unwrap();
    }
    for number in 0..40 {
        writeln!(rows, "p{number}@a.example,Ada {number},en").unwrap();
    }
    workplace.write("partners.csv", &rows);
    (server, workplace)
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn every_screen_fits_into_60_80_and_120_columns() {
    for columns in [60, 80, 120] {
        let (_server, mut workplace) = a_mixed_job();
        let terminal = Terminal::open(&workplace, columns, 34);
        let mut seen = Vec::new();

        seen.push(terminal.run("access-invite init new --provider microsoft365"));
        seen.push(terminal.run("access-invite check -c new/config.toml"));
        seen.push(terminal.run("access-invite check"));
        assert_eq!(workplace.run(&["preview"]).code, 0);
        terminal.begin("access-invite send");
        seen.push(terminal.wait_for("[y/N]"));
        terminal.answer("y");
        seen.push(terminal.settle());
        seen.push(terminal.run("access-invite status"));
        seen.push(terminal.run("access-invite status taro@港湾設計.example"));
        seen.push(terminal.run("access-invite status --state accepted"));
        // A second campaign under a limit per minute and per day.
        workplace.limits = "per_minute = 2\nper_day = 50\nnew_per_run = 100".into();
        workplace.configure();
        let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
        workplace.write("config.toml", &config.replace("\"spring\"", "\"autumn\""));
        workplace.many_partners(20);
        std::fs::remove_dir_all(workplace.file("preview")).unwrap();
        terminal.begin("access-invite send --new-campaign");
        seen.push(terminal.wait_for("[y/N]"));
        terminal.answer("y");
        seen.push(terminal.wait_for("limit per minute"));
        terminal.press("C-c");
        terminal.settle();
        seen.push(terminal.run("access-invite status"));

        let seen: Vec<_> = seen.iter().map(|it| steady(&workplace, it)).collect();
        let rule = "~".repeat(columns.into());
        insta::assert_snapshot!(
            format!("at_{columns}_columns"),
            seen.join(&format!("\n{rule}\n\n"))
        );
    }
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn states_are_coloured_unless_no_color_a_dumb_terminal_or_a_pipe_forbids_it() {
    let (_server, workplace) = a_mixed_job();
    assert_eq!(workplace.run(&["send"]).code, 3);
    let terminal = Terminal::open(&workplace, 100, 30);
    let coloured = |line: &str| {
        let shown = terminal.run(line);
        assert!(shown.contains("unknown  "), "{line}: {shown}");
        terminal.coloured_screen().contains("\x1b[31munknown")
    };

    assert!(coloured("access-invite status"));
    assert!(coloured("NO_COLOR= access-invite status"));
    for line in [
        "NO_COLOR=1 access-invite status",
        "TERM=dumb access-invite status",
        "access-invite status | grep unknown",
    ] {
        assert!(!coloured(line), "{line}");
    }
}
