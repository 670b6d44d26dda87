//! The list without a script: every message and every partner who is not mailed, in plain HTML.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use super::access::ReviewFiles;
use super::folder::LIST;
use super::parsed_message::{Mailbox, ParsedMessage};
use super::summary::About;
use crate::html::escape;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'self'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="review.css">
"#;

/// The list while it is written. Memory does not grow with the number of messages.
#[derive(Debug)]
pub struct StaticList {
    messages: BufWriter<File>,
    skipped: BufWriter<File>,
}

impl StaticList {
    /// Creates the file.
    pub fn begin(files: &ReviewFiles, about: &About) -> io::Result<Self> {
        let mut messages = BufWriter::new(files.create(LIST)?);
        write!(
            messages,
            "{HEAD}<title>{0}</title>\n</head>\n<body class=\"plain\">\n<main>\n<h1>{0}</h1>\n<p>{1}. Campaign {2}.</p>\n<h2>Messages</h2>\n<table>\n<tr><th scope=\"col\">#</th><th scope=\"col\">To</th><th scope=\"col\">Subject</th><th scope=\"col\">Language</th><th scope=\"col\">Remark</th><th scope=\"col\">Open</th></tr>\n",
            escape(&about.title),
            escape(&about.lead),
            escape(&about.campaign),
        )?;
        let skipped = BufWriter::new(tempfile::tempfile_in(files.folder())?);
        Ok(Self { messages, skipped })
    }

    /// Adds a message whose files are called `file` but for their endings.
    pub fn add(
        &mut self,
        number: u64,
        message: &ParsedMessage,
        remark: &str,
        file: &str,
    ) -> io::Result<()> {
        writeln!(
            self.messages,
            "<tr><td>{number}</td><td>{}</td><td><bdi>{}</bdi></td><td>{}</td><td>{}</td><td><a href=\"{file}.html\">HTML</a> <a href=\"{file}.txt\">text</a> <a href=\"{file}.eml\">source</a></td></tr>",
            mailbox(&message.to),
            escape(&message.subject),
            escape(&message.language),
            escape(remark),
        )
    }

    /// Adds a row that is not mailed.
    pub fn skip(&mut self, address: &str, why: &str) -> io::Result<()> {
        writeln!(
            self.skipped,
            "<tr><td><bdi dir=\"ltr\">{}</bdi></td><td>{}</td></tr>",
            escape(address),
            escape(why)
        )
    }

    /// Completes the file.
    pub fn finish(mut self, total: u64, skipped: u64) -> io::Result<()> {
        writeln!(self.messages, "</table>")?;
        if total == 0 {
            writeln!(self.messages, "<p>No message.</p>")?;
        }
        if skipped > 0 {
            writeln!(
                self.messages,
                "<h2>Not mailed: {skipped}</h2>\n<table>\n<tr><th scope=\"col\">Partner</th><th scope=\"col\">Why</th></tr>"
            )?;
            let mut rows = self.skipped.into_inner().map_err(io::Error::other)?;
            rows.seek(SeekFrom::Start(0))?;
            io::copy(&mut rows, &mut self.messages)?;
            writeln!(self.messages, "</table>")?;
        }
        writeln!(self.messages, "</main>\n</body>\n</html>")?;
        self.messages.flush()
    }
}

/// A name, an address, and the address in Unicode, each on a line of its own.
fn mailbox(it: &Mailbox) -> String {
    let line = |text: &String| format!("<br><bdi dir=\"ltr\">{}</bdi>", escape(text));
    let addresses = [&it.address, &it.unicode].into_iter();
    let addresses: String = addresses.filter(|it| !it.is_empty()).map(line).collect();
    format!("<bdi>{}</bdi>{addresses}", escape(&it.name))
}
