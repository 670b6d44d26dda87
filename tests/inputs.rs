//! Damaged or hostile lists, templates and configurations, some of them changed during a run.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::smtp::{Server, Stage};
use crate::support::{LINK, Workplace, oracle};
use mail_parser::MessageParser;

/// The recipients of accepted mail.
fn reached(server: &Server) -> BTreeSet<String> {
    let accepted = server.accepted();
    accepted
        .into_iter()
        .map(|it| it.recipients[0].clone())
        .collect()
}

fn names(addresses: &[&str]) -> BTreeSet<String> {
    addresses.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn f5_a_list_changed_during_a_run_counts_for_the_next_run() {
    type Accident = fn(&Workplace);
    let accidents: [Accident; 3] = [
        |it| {
            it.write("new.csv", "email\nzoe@z.example\n");
            std::fs::rename(it.file("new.csv"), it.file("partners.csv")).unwrap();
        },
        |it| it.write("partners.csv", "email\nada@a.exam"),
        |it| std::fs::remove_file(it.file("partners.csv")).unwrap(),
    ];
    for accident in accidents {
        let (server, keeper) = Server::holding(Stage::Dot, 0);
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 1");
        workplace.many_partners(300);
        let run = workplace.start(&["send"]);
        keeper.wait();

        accident(&workplace);
        keeper.release();
        let ended = run.wait();

        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(server.accepted().len(), 300);
        oracle::check_settled(&workplace, &server, 300, 0);
    }
}

#[test]
fn f6_a_list_that_is_no_file_is_refused_within_a_second() {
    type Obstacle = fn(&Workplace);
    let obstacles: [(Obstacle, &str); 4] = [
        (
            |it| {
                let made = Command::new("mkfifo").arg(it.file("partners.csv")).status();
                assert!(made.unwrap().success());
            },
            "not a regular file",
        ),
        (
            |it| std::fs::create_dir(it.file("partners.csv")).unwrap(),
            "not a regular file",
        ),
        (
            |it| std::os::unix::fs::symlink("/dev/zero", it.file("partners.csv")).unwrap(),
            "not a regular file",
        ),
        (
            |it| std::os::unix::fs::symlink("nowhere", it.file("partners.csv")).unwrap(),
            "cannot read the partner file",
        ),
    ];
    for (obstacle, words) in obstacles {
        let workplace = Workplace::english(1);
        std::fs::remove_file(workplace.file("partners.csv")).unwrap();
        obstacle(&workplace);

        for verb in ["check", "send", "preview"] {
            let start = Instant::now();
            let output = workplace.run(&[verb]);

            assert_eq!(output.code, 65, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
            assert!(start.elapsed() < Duration::from_secs(30), "{output:?}");
        }
    }
}

/// Templates that show every value of a row, in both parts.
const TEXT: &str =
    "{{ partner.name }} | {{ partner.organization }} | {{ partner.extra.remark }}\n\n{{ link }}\n";
const HTML: &str = "<p>{{ partner.name }} | {{ partner.organization }} | {{ partner.extra.remark }}</p><a class=\"button\" href=\"{{ link }}\">here</a> <p>{{ link }}</p>";

#[test]
fn f14_f15_and_f16_code_in_any_column_is_text() {
    let hostile = [
        "{{7*7}}",
        "{% include \"x\" %}",
        "{# gone #}",
        "${HOME}",
        "$(id) `id` | id; id",
        "<script>alert(1)</script>",
        "\"><a href=\"https://evil.example\">x</a>",
        "&lt;b&gt; &amp; <!--",
        "-->]]></style></title>",
        "=cmd|' /C calc'!A0",
        "../../etc/passwd",
        "%s%n%x \\r\\n \\u0000",
    ];
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.words(TEXT, HTML);
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows: Vec<_> = hostile
        .iter()
        .enumerate()
        .map(|(nth, it)| format!("p{nth}@a.example,{0},{0},{0}\n", cell(it)))
        .collect();
    let csv = format!("email,name,organization,remark\n{}", rows.concat());
    workplace.write("partners.csv", &csv);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 0, "{output:?}");
    for message in server.accepted() {
        let nth = message.recipients[0][1..].split('@').next().unwrap();
        let value = hostile[nth.parse::<usize>().unwrap()];
        let mail = MessageParser::default().parse(&message.data).unwrap();
        let text = mail.body_text(0).unwrap();
        let line = [value; 3].join(" | ");
        assert!(text.contains(&line), "{line}: {text}");
        let html = mail.body_html(0).unwrap();
        for tag in ["<script", "evil.example\"", "<!--", "</style", "</title"] {
            assert!(!html.contains(tag), "{html}");
        }
        assert_eq!(mail.to().unwrap().first().unwrap().name(), Some(value));
    }
    oracle::check_settled(&workplace, &server, hostile.len(), 0);
}

#[test]
fn f17_a_locale_that_is_a_path_or_too_long_is_refused() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    let long = "x".repeat(8_000);
    for locale in ["../../etc", "de/../en", "..", "en\u{0}", "/", &long] {
        workplace.write(
            "partners.csv",
            &format!("email,locale\nada@a.example,{locale}\n"),
        );
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 65, "{locale}: {output:?}");
        assert!(output.stderr.contains("partners.csv:2"), "{output:?}");
    }
    assert_eq!(server.connections(), 0);

    workplace.write("partners.csv", "email,locale\nada@a.example,tlh\n");
    assert_eq!(workplace.run(&["send"]).code, 0);
    let mail = server.accepted().remove(0).data;
    let mail = MessageParser::default().parse(&mail).unwrap();
    assert_eq!(
        mail.header_raw("Content-Language").map(str::trim),
        Some("en")
    );
}

#[test]
fn g9_a_template_without_end_is_refused() {
    let endless = [
        format!(
            "{{% for it in range(end=100000000) %}}x{{% endfor %}}{}",
            "\n{{ link }}"
        ),
        format!(
            "{{% for it in range(end=90000) %}}xxxxxxxxxxxxxxxx{{% endfor %}}{}",
            "\n{{ link }}"
        ),
        format!("{{{{ {}1 }}}}\n{{{{ link }}}}\n", "1+".repeat(10_000)),
        format!(
            "{{{{ {}1{} }}}}\n{{{{ link }}}}\n",
            "(".repeat(10_000),
            ")".repeat(10_000)
        ),
        format!(
            "{}x{}\n{{{{ link }}}}\n",
            "{% if true %}".repeat(3_000),
            "{% endif %}".repeat(3_000)
        ),
    ];
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);

    for text in endless {
        workplace.words(&text, HTML);
        let start = Instant::now();
        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 78, "{text:.60}: {output:?}");
        assert!(start.elapsed() < Duration::from_mins(1), "{text:.60}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn g10_edits_during_a_run_count_for_the_next_run() {
    let (server, keeper) = Server::holding(Stage::Dot, 0);
    let mut workplace = Workplace::english(server.port());
    workplace.short_templates();
    workplace.smtp("connections = 1");
    workplace.many_partners(300);
    let run = workplace.start(&["send"]);
    keeper.wait();

    workplace.words("Other words\n\n{{ link }}\n", HTML);
    workplace.write("config.toml", "campaign = \"another\"");
    keeper.release();
    let ended = run.wait();

    assert_eq!(ended.code, 0, "{ended:?}");
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 300);
    for message in accepted {
        let mail = MessageParser::default().parse(&message.data).unwrap();
        let text = mail.body_text(0).unwrap();
        assert!(text.starts_with("Hello Ada,"), "{text}");
        assert!(text.lines().any(|it| it == LINK));
    }
    workplace.configure();
    oracle::check_settled(&workplace, &server, 300, 0);
}

#[test]
fn f10_spellings_of_one_address_are_one_invitation() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.write(
        "partners.csv",
        "email,locale\n\
         Ada@Bücher.example,fr\n\
         ada@bu\u{308}cher.example,en\n\
         ADA@xn--bcher-kva.example,fr\n\
         \u{a0} ada@BÜCHER.EXAMPLE ,ar\n",
    );

    let refused = workplace.run(&["send"]);
    assert_eq!(refused.code, 65, "{refused:?}");
    let again = "partners.csv:3, column email in 3 rows, lines 3, 4, 5: line 2 has the same address for this package";
    assert!(refused.stderr.contains(again), "{refused:?}");

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let skipping = config.replace("[partners]", "[partners]\nbad_rows = \"skip\"");
    workplace.write("config.toml", &skipping);
    assert_eq!(workplace.run(&["send"]).code, 1);
    assert_eq!(workplace.run(&["send"]).code, 1);
    assert_eq!(reached(&server), names(&["Ada@xn--bcher-kva.example"]));
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn f18_a_changed_address_is_new_and_a_readded_row_is_not() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    for list in [
        &["ada@a.example"][..],
        &["ada@b.example"],
        &["ada@a.example"],
        &[],
    ] {
        workplace.partners(list);
        assert_eq!(workplace.run(&["send"]).code, 0);
    }
    assert_eq!(reached(&server), names(&["ada@a.example", "ada@b.example"]));
    assert_eq!(server.accepted().len(), 2);
}
