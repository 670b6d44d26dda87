//! What the page shows, as files that it loads when it needs them.
//!
//! A page that was opened from disk may not read files, but it may load scripts. So each
//! piece is a script of one call, whose arguments are JSON and nothing else: no value can
//! end the text that it stands in.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file_names::DATA;
use super::folder::create;

/// How many rows are in a data file; the page knows these numbers from the summary.
pub const LISTED: u64 = 1_000;
/// How many messages are in one.
pub const DETAILED: u64 = 20;

/// JsRows of one kind, written to one file after another.
#[derive(Debug)]
pub struct JsRows {
    folder: PathBuf,
    review: String,
    part: &'static str,
    each: u64,
    written: u64,
    open: Option<BufWriter<File>>,
}

impl JsRows {
    /// Begins with none; each file of `part` will hold `each` rows.
    pub fn new(folder: &Path, review: &str, part: &'static str, each: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            review: review.to_owned(),
            part,
            each,
            written: 0,
            open: None,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: &impl Serialize) -> io::Result<()> {
        if self.written.is_multiple_of(self.each) {
            self.close()?;
        }
        let first = self.open.is_none();
        let file = match &mut self.open {
            Some(file) => file,
            closed => {
                let number = self.written / self.each + 1;
                let name = format!("{DATA}/{}-{number:04}.js", self.part);
                let mut file = BufWriter::new(create(&self.folder.join(name))?);
                write!(file, "{},[", call(&self.review, self.part, number)?)?;
                closed.insert(file)
            }
        };
        let comma = if first { "" } else { "," };
        self.written += 1;
        write!(file, "{comma}\n{}", json(row)?)
    }

    /// Completes the last file.
    pub fn close(&mut self) -> io::Result<()> {
        match self.open.take() {
            None => Ok(()),
            Some(mut file) => {
                writeln!(file, "\n]);")?;
                file.flush()
            }
        }
    }
}

/// Writes the one piece of `part`, which is not made of rows.
pub fn write_whole(
    folder: &Path,
    review: &str,
    part: &str,
    value: &impl Serialize,
) -> io::Result<()> {
    let mut file = create(&folder.join(format!("{DATA}/{part}.js")))?;
    writeln!(file, "{},{});", call(review, part, 0)?, json(value)?)
}

/// `review("…","list",1`, to be completed by the value and a bracket.
fn call(review: &str, part: &str, number: u64) -> io::Result<String> {
    Ok(format!(
        "review({},{},{number}",
        json(&review)?,
        json(&part)?
    ))
}

/// JSON that is also one line of a script, whoever reads it: no `<`, which begins a tag or a
/// comment in HTML, and none of the two line ends that JSON knows as characters.
fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fill_one_file_after_another_and_nothing_in_them_ends_their_text() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DATA)).unwrap();
        let hostile = "</script><!-- \u{2028}\u{2029} ]]> \"'\\ \u{1b}";

        let mut rows = JsRows::new(folder.path(), "r", "list", 2);
        for text in ["a", "b", hostile] {
            rows.add(&[text]).unwrap();
        }
        rows.close().unwrap();

        let read = |name: &str| std::fs::read_to_string(folder.path().join(DATA).join(name));
        assert_eq!(
            read("list-0001.js").unwrap(),
            "review(\"r\",\"list\",1,[\n[\"a\"],\n[\"b\"]\n]);\n"
        );
        let second = read("list-0002.js").unwrap();
        assert!(!second.contains(['<', '\u{2028}', '\u{2029}', '\u{1b}']));
        let value = second.strip_prefix("review(\"r\",\"list\",2,").unwrap();
        let value = value.strip_suffix(");\n").unwrap();
        let value: Vec<[String; 1]> = serde_json::from_str(value).unwrap();
        assert_eq!(value, [[hostile.to_owned()]]);
        assert!(read("list-0003.js").is_err());
    }
}
