//! The review: a folder of messages as files, with an index to open in a browser.
//!
//! What is shown is read back from the finished message, not from what it was made
//! of. The folder belongs to its owner only, and only what a preview made is ever
//! replaced. The index is plain HTML that runs nothing and loads nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mail_parser::{HeaderValue, MessageParser};

/// Tells a folder that a preview made from one that somebody keeps things in.
const MARKER: &str = ".made-by-access-invite";
const MESSAGES: &str = "messages";
const INDEX: &str = "index.html";

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
:root { color-scheme: light dark; --line: #d5dae1; --quiet: #5b6472; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --line: #3a424d; --quiet: #a4adba; --link: #8fc1f5; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; }
h2 { font-size: 1.1rem; margin-top: 2.5rem; }
p { color: var(--quiet); margin-top: 0; }
a { color: var(--link); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: .5rem 1rem .5rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); font-size: .875rem; }
td.open { white-space: nowrap; }
td.open a { display: inline-block; padding: 0 .25rem; }
bdi { unicode-bidi: isolate; }
</style>
"#;

/// A folder that is ready to take a review, while the old one still stands in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, or takes one that a preview has made.
    ///
    /// # Errors
    /// When something else stands there, or it cannot be made.
    pub fn prepare(path: &Path) -> Result<Self> {
        let context = || format!("cannot use `{}` for the review", path.display());
        match std::fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(context)?;
            }
            Err(error) => return Err(error).with_context(context),
            Ok(mut entries) => ensure!(
                path.join(MARKER).exists() || entries.next().is_none(),
                "{}: it holds files that no preview made; name another folder with `--out`, or empty this one",
                context()
            ),
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(context)?;
        create(&path.join(MARKER))
            .with_context(context)
            .map(|_| Self(path.to_owned()))
    }

    /// Where scratch files may lie for a while.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes away the old review and begins a new one.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn begin(self, title: &str, lead: &str) -> Result<Gallery> {
        let path = self.0;
        let context = || format!("cannot write the review into `{}`", path.display());
        let messages = path.join(MESSAGES);
        for old in [
            std::fs::remove_dir_all(&messages),
            std::fs::remove_file(path.join(INDEX)),
        ] {
            match old {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(context);
                }
                _ => {}
            }
        }
        let begin = || -> io::Result<(BufWriter<File>, BufWriter<File>)> {
            DirBuilder::new().mode(0o700).create(&messages)?;
            let mut index = BufWriter::new(create(&path.join(INDEX))?);
            write!(
                index,
                "{HEAD}<title>{0}</title>\n</head>\n<body>\n<h1>{0}</h1>\n<p>{1}</p>\n<div class=\"scroll\"><table>\n<tr><th>#</th><th>To</th><th>Subject</th><th>Language</th><th>Remark</th><th>Open</th></tr>\n",
                escape(title),
                escape(lead),
            )?;
            let skipped = BufWriter::new(tempfile::tempfile_in(&path)?);
            Ok((index, skipped))
        };
        let (index, skipped) = begin().with_context(context)?;
        Ok(Gallery {
            path,
            index,
            skipped,
            shown: 0,
            left_out: 0,
        })
    }
}

/// A review in the making. Its memory does not grow with the number of messages.
#[derive(Debug)]
pub struct Gallery {
    path: PathBuf,
    index: BufWriter<File>,
    skipped: BufWriter<File>,
    shown: u64,
    left_out: u64,
}

impl Gallery {
    /// Adds a finished message with a remark for the reader.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn add(&mut self, message: &[u8], remark: &str) -> io::Result<()> {
        let number = self.shown + 1;
        let parsed = MessageParser::default()
            .parse(message)
            .ok_or_else(|| io::Error::other("the message cannot be parsed"))?;
        let html = parsed.body_html(0).unwrap_or_default();
        let text = parsed.body_text(0).unwrap_or_default();
        let name = format!("{MESSAGES}/{number:04}");
        for (ending, bytes) in [
            ("eml", message),
            ("html", html.as_bytes()),
            ("txt", text.as_bytes()),
        ] {
            let file = self.path.join(format!("{name}.{ending}"));
            create(&file)?.write_all(bytes)?;
        }
        let to = parsed.to().and_then(mail_parser::Address::first);
        let (who, address) = to.map_or(("", ""), |it| {
            (
                it.name().unwrap_or_default(),
                it.address().unwrap_or_default(),
            )
        });
        let language = match parsed.header("Content-Language") {
            Some(HeaderValue::Text(language)) => language.to_string(),
            _ => String::new(),
        };
        self.shown = number;
        writeln!(
            self.index,
            "<tr><td>{number}</td><td><bdi>{}</bdi><br><bdi dir=\"ltr\">{}</bdi></td><td><bdi>{}</bdi></td><td>{}</td><td>{}</td><td class=\"open\"><a href=\"{name}.html\">HTML</a> <a href=\"{name}.txt\">text</a> <a href=\"{name}.eml\">source</a></td></tr>",
            escape(who),
            escape(address),
            escape(parsed.subject().unwrap_or_default()),
            escape(&language),
            escape(remark),
        )
    }

    /// Adds a partner who is not mailed, and why.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn leave_out(&mut self, address: &str, why: &str) -> io::Result<()> {
        self.left_out += 1;
        writeln!(
            self.skipped,
            "<tr><td><bdi dir=\"ltr\">{}</bdi></td><td>{}</td></tr>",
            escape(address),
            escape(why)
        )
    }

    /// Completes the index; gives its path and the number of messages.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn finish(mut self) -> io::Result<(PathBuf, u64)> {
        writeln!(self.index, "</table></div>")?;
        if self.shown == 0 {
            writeln!(self.index, "<p>No message.</p>")?;
        }
        if self.left_out > 0 {
            writeln!(
                self.index,
                "<h2>Not mailed: {}</h2>\n<div class=\"scroll\"><table>\n<tr><th>Partner</th><th>Why</th></tr>",
                self.left_out
            )?;
            let mut skipped = self.skipped.into_inner().map_err(io::Error::other)?;
            skipped.seek(SeekFrom::Start(0))?;
            let mut piece = vec![0; 64 * 1024];
            loop {
                let read = skipped.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                self.index.write_all(&piece[..read])?;
            }
            writeln!(self.index, "</table></div>")?;
        }
        writeln!(self.index, "</body>\n</html>")?;
        self.index.flush()?;
        Ok((self.path.join(INDEX), self.shown))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            it if it.is_control() => escaped.push('\u{fffd}'),
            it => escaped.push(it),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "From: a@a.example\r\nTo: \"<b>Ada</b> & Co\" <ada@b.example>\r\nSubject: <script>alert(1)</script>\r\nContent-Language: fr\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n--x--\r\n";

    #[test]
    fn a_review_is_owner_only_escaped_and_replaces_only_a_review() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("deep/preview");
        for _ in 0..2 {
            let mut gallery = Folder::prepare(&out)
                .unwrap()
                .begin("Preview & more", "lead")
                .unwrap();
            gallery.add(MESSAGE.as_bytes(), "fr-CA → fr").unwrap();
            gallery
                .leave_out("<i>@x.example", "accepted already")
                .unwrap();
            assert_eq!(gallery.finish().unwrap().1, 1);
        }

        let index = std::fs::read_to_string(out.join("index.html")).unwrap();
        assert!(!index.contains("<script>") && !index.contains("<b>") && !index.contains("<i>"));
        assert!(index.contains("&lt;b&gt;Ada&lt;/b&gt; &amp; Co"));
        assert!(index.contains("Not mailed: 1"));
        assert_eq!(
            std::fs::read(out.join("messages/0001.eml")).unwrap(),
            MESSAGE.as_bytes()
        );
        assert_eq!(
            std::fs::read_to_string(out.join("messages/0001.txt"))
                .unwrap()
                .trim(),
            "Hello"
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&out), 0o700);
        assert_eq!(mode(&out.join("index.html")), 0o600);

        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("thesis.txt"), "years of work").unwrap();
        let error = Folder::prepare(&own).unwrap_err();
        assert!(
            error.to_string().contains("files that no preview made"),
            "{error}"
        );
        assert!(own.join("thesis.txt").exists());
    }
}
