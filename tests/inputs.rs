//! The list, the words and the configuration as accidents and strangers leave them, some of
//! them while a run is at work.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::smtp::{Server, Stage};
use crate::support::{LINK, Workplace, oracle};
use mail_parser::MessageParser;

/// Whom the relay has accepted mail for.
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
fn f5_a_list_that_is_replaced_or_cut_off_during_a_run_counts_for_the_next_one() {
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
        let mut workplace = Workplace::new(server.port());
        workplace.smtp("connections = 1");
        workplace.crowd(300);
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
fn f6_what_is_no_file_that_can_be_read_is_refused_within_a_second() {
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
        let workplace = Workplace::new(1);
        std::fs::remove_file(workplace.file("partners.csv")).unwrap();
        obstacle(&workplace);

        for verb in ["check", "send", "preview"] {
            let start = Instant::now();
            let output = workplace.run(&[verb]);

            assert_eq!(output.code, 65, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
            assert!(start.elapsed() < Duration::from_secs(5), "{output:?}");
        }
    }
}

/// Words that show every value of a row, in both parts.
const TEXT: &str =
    "{{ partner.name }} | {{ partner.organization }} | {{ partner.extra.note }}\n\n{{ link }}\n";
const HTML: &str = "<p>{{ partner.name }} | {{ partner.organization }} | {{ partner.extra.note }}</p><a class=\"button\" href=\"{{ link }}\">here</a> <p>{{ link }}</p>";

#[test]
fn f14_f15_and_f16_what_looks_like_code_is_text_in_each_column_and_each_part() {
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
    let server = Server::obliging();
    let mut workplace = Workplace::new(server.port());
    workplace.words(TEXT, HTML);
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows: Vec<_> = hostile
        .iter()
        .enumerate()
        .map(|(nth, it)| format!("p{nth}@a.example,{0},{0},{0}\n", cell(it)))
        .collect();
    let csv = format!("email,name,organization,note\n{}", rows.concat());
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
fn f17_a_locale_that_is_a_path_or_endless_is_refused_and_an_unknown_one_is_written_to_by_default() {
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
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
fn g9_a_template_that_would_never_end_or_fill_the_memory_is_refused() {
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
    let server = Server::obliging();
    let mut workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);

    for text in endless {
        workplace.words(&text, HTML);
        let start = Instant::now();
        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 78, "{text:.60}: {output:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{text:.60}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn g10_words_and_configuration_that_are_edited_during_a_run_count_for_the_next_one() {
    let (server, keeper) = Server::holding(Stage::Dot, 0);
    let mut workplace = Workplace::new(server.port());
    workplace.few_words();
    workplace.smtp("connections = 1");
    workplace.crowd(300);
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
fn f10_one_person_written_in_several_ways_is_one_invitation() {
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
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
    let again = "the same address already stands on line 2";
    assert_eq!(refused.stderr.matches(again).count(), 3, "{refused:?}");

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let skipping = config.replace("[partners]", "[partners]\nbad_rows = \"skip\"");
    workplace.write("config.toml", &skipping);
    assert_eq!(workplace.run(&["send"]).code, 1);
    assert_eq!(workplace.run(&["send"]).code, 1);
    assert_eq!(reached(&server), names(&["Ada@xn--bcher-kva.example"]));
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn f18_a_changed_address_is_another_person_and_a_row_that_comes_back_is_the_same() {
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
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
