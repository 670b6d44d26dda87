//! Logo, colour, inviter and note, from the configuration and the list to the message and the review.

use mail_parser::{MessageParser, MimeHeaders};

use crate::support::Workplace;
use crate::support::smtp::Server;

/// A PNG of this size, as far as its header goes, with something behind it.
fn png(width: u16, height: u16, more: &[u8]) -> Vec<u8> {
    let mut image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    image.extend(u32::from(width).to_be_bytes());
    image.extend(u32::from(height).to_be_bytes());
    image.extend([8, 6, 0, 0, 0]);
    image.extend(more);
    image
}

const HTML: &str = "{% if brand.logo %}<img src=\"{{ brand.logo }}\" alt=\"{{ sender.organization }}\">{% endif %}<a class=\"button\" href=\"{{ link }}\" style=\"background:{{ brand.color }}\">here</a> <p>{{ link }}</p>";
const TEXT: &str =
    "Hello {{ partner.name }}, {{ inviter.name }} writes: {{ partner.note }}\n\n{{ link }}\n";

fn workplace(port: u16, tables: &str) -> Workplace {
    let mut workplace = Workplace::new(port);
    workplace.words(TEXT, HTML);
    tables.clone_into(&mut workplace.extra);
    workplace.configure();
    std::fs::write(workplace.file("logo.png"), png(240, 60, b"pixels")).unwrap();
    workplace.write(
        "partners.csv",
        "email,name,inviter_name,inviter_email,note\nada@a.example,Ada,Grace Hopper,grace@contoso.example,\"See you\non Friday.\"\n",
    );
    workplace
}

#[test]
fn logo_inviter_and_note_reach_the_relay_and_the_review_as_they_were_configured() {
    let server = Server::accepting();
    let workplace = workplace(
        server.port(),
        "[brand]\nlogo = \"logo.png\"\ncolor = \"#0b57d0\"\n",
    );

    let preview = workplace.run(&["preview"]);
    assert_eq!(preview.code, 0, "{preview:?}");
    let sent = workplace.run(&["send"]);
    assert_eq!(sent.code, 0, "{sent:?}");

    let accepted = server.accepted();
    let parsed = MessageParser::default().parse(&accepted[0].data).unwrap();
    assert_eq!(
        parsed.reply_to().unwrap().first().unwrap().address(),
        Some("grace@contoso.example")
    );
    let text = parsed.body_text(0).unwrap();
    assert!(
        text.starts_with("Hello Ada, Grace Hopper writes: See you on Friday."),
        "{text}"
    );
    let logo = parsed
        .parts
        .iter()
        .find(|it| it.is_content_type("image", "png"))
        .unwrap();
    assert_eq!(logo.contents(), png(240, 60, b"pixels"));
    let id = logo.content_id().unwrap();
    let html = parsed.body_html(0).unwrap();
    assert!(
        html.contains(&format!("<img src=\"cid:{id}\" alt=\"Contoso\">")),
        "{html}"
    );
    // The file of the review shows the image without the message.
    let page = std::fs::read_to_string(workplace.file("preview/messages/0001.html")).unwrap();
    assert!(
        page.contains("<img src=\"data:image/png;base64,iVBORw0KGgo"),
        "{page}"
    );
    assert!(
        page.contains("img-src data:;") && !page.contains("cid:"),
        "{page}"
    );
}

#[test]
fn a_logo_that_was_changed_is_not_approved() {
    let server = Server::accepting();
    let workplace = workplace(
        server.port(),
        "[brand]\nlogo = \"logo.png\"\n[approval]\nfile = \"approved.txt\"\n",
    );
    assert_eq!(workplace.run(&["preview"]).code, 0);
    let proposal = workplace.file("preview/approval.txt");
    std::fs::copy(proposal, workplace.file("approved.txt")).unwrap();
    std::fs::write(workplace.file("logo.png"), png(240, 60, b"others")).unwrap();

    let refused = workplace.run(&["send"]);

    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(
        refused.stderr.contains("templates: `brand.logo` changed"),
        "{refused:?}"
    );
    std::fs::write(workplace.file("logo.png"), png(240, 60, b"pixels")).unwrap();
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn check_warns_of_colour_logo_names_texts_and_templates_once_each() {
    let workplace = workplace(
        1,
        "[brand]\nlogo = \"logo.png\"\ncolor = \"#ffcc00\"\nfooter = \"Contoso\"\n",
    );
    std::fs::create_dir(workplace.file("words/fr")).unwrap();
    for part in ["subject.txt", "txt", "html"] {
        let name = format!("invitation.{part}");
        let english = workplace.file(&format!("words/en/{name}"));
        std::fs::copy(english, workplace.file(&format!("words/fr/{name}"))).unwrap();
    }
    std::fs::write(workplace.file("logo.png"), png(3000, 400, b"")).unwrap();
    workplace.write(
        "partners.csv",
        "email,name,locale\nada@a.example,\"Lovelace, Ada\",en\neva@e.example,\"Ek, Eva\",fr\nbob@b.example,\"Bob Bo, PhD\",fr\n",
    );

    let output = workplace.run(&["check"]);

    assert_eq!(output.code, 0, "{output:?}");
    let expected = [
        "brand.color: white text on #ffcc00 has a contrast of 1.5 : 1, and readable text needs 4.5 : 1",
        "brand.logo: the logo has 3000 × 400 pixels",
        "words: the configuration sets `brand.footer`, but no template uses it",
        "partners.csv: 2 of 3 names read \"Last, First\", such as \"Lovelace, Ada\" on line 2",
        "packages.project: mail goes out in `en`, `fr`, but `name` is one text for all",
    ];
    for warning in expected {
        let found = output
            .stderr
            .matches(&format!("warning: {warning}"))
            .count();
        assert_eq!(found, 1, "{warning}: {}", output.stderr);
    }
    assert_eq!(
        output.stderr.matches("warning: ").count(),
        expected.len(),
        "{output:?}"
    );

    let server = Server::accepting();
    let quiet = self::workplace(server.port(), "[brand]\ncolor = \"#0b57d0\"\n");
    let output = quiet.run(&["check"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
}

#[test]
fn a_logo_that_cannot_be_sent_stops_check_and_send_alike() {
    let server = Server::accepting();
    let workplace = workplace(server.port(), "[brand]\nlogo = \"logo.png\"\n");
    for (content, why) in [
        (
            png(240, 60, &vec![0; 100 * 1024]),
            "(`brand.logo`) is larger than 100 KiB",
        ),
        (b"GIF89a".to_vec(), "(`brand.logo`) is no PNG or JPEG image"),
    ] {
        std::fs::write(workplace.file("logo.png"), content).unwrap();
        for verb in ["check", "preview", "send"] {
            let output = workplace.run(&[verb]);
            assert_eq!(output.code, 78, "{verb}: {output:?}");
            assert!(output.stderr.contains(why), "{verb}: {output:?}");
        }
    }
    // Other verbs need no logo.
    assert_eq!(workplace.run(&["status"]).code, 0);
    assert!(server.accepted().is_empty());
}

#[test]
fn a_note_with_a_link_is_a_bad_row_if_the_templates_show_notes() {
    let server = Server::accepting();
    let mut workplace = workplace(server.port(), "");
    workplace.write(
        "partners.csv",
        "email,name,note\nada@a.example,Ada,see https://evil.example/\n",
    );
    for verb in ["check", "preview", "send", "export"] {
        let arguments = if verb == "export" {
            vec![verb, "out"]
        } else {
            vec![verb]
        };
        let output = workplace.run(&arguments);
        assert_eq!(output.code, 65, "{verb}: {output:?}");
        let place =
            "partners.csv:2, column note, \"see https://evil.example/\": the note contains a link";
        assert!(output.stderr.contains(place), "{verb}: {output:?}");
    }
    assert!(server.accepted().is_empty());

    // Lists from before there were notes may have an internal column of this name.
    workplace.short_templates();
    for verb in ["check", "send"] {
        let output = workplace.run(&[verb]);
        assert_eq!(output.code, 0, "{verb}: {output:?}");
    }
    assert_eq!(server.accepted().len(), 1);
}
