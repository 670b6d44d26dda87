//! The data of the page, in files that it loads on demand.
//!
//! A page that is opened from disk may not read files, but may load scripts. Each data file is therefore a
//! script of one call whose arguments are JSON, escaped so that no value can end its string.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::access::ReviewFiles;
use super::folder::DATA;

/// How many rows are in a data file; the page knows these numbers from the summary.
pub const LISTED: u64 = 1_000;
/// How many messages are in one.
pub const DETAILED: u64 = 20;

/// Rows of one kind, written to one file after another.
#[derive(Debug)]
pub struct JsRows {
    files: ReviewFiles,
    review: String,
    part: &'static str,
    each: u64,
    written: u64,
    open: Option<BufWriter<File>>,
}

impl JsRows {
    /// Each file of `part` will hold `each` rows.
    pub fn new(files: &ReviewFiles, review: &str, part: &'static str, each: u64) -> Self {
        Self {
            files: files.clone(),
            review: review.to_owned(),
            part,
            each,
            written: 0,
            open: None,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: &impl Serialize) -> io::Result<()> {
        let begins = self.written.is_multiple_of(self.each);
        if begins {
            self.close()?;
            let number = self.written / self.each + 1;
            let name = format!("{DATA}/{}-{number:04}.js", self.part);
            let mut file = BufWriter::new(self.files.create(&name)?);
            write!(file, "{},[", call(&self.review, self.part, number))?;
            self.open = Some(file);
        }
        let comma = if begins { "" } else { "," };
        self.written += 1;
        let file = self.open.as_mut().expect("a file has begun");
        write!(file, "{comma}\n{}", json(row)?)
    }

    /// Completes the last file.
    pub fn close(&mut self) -> io::Result<()> {
        if let Some(mut file) = self.open.take() {
            writeln!(file, "\n]);")?;
            file.flush()?;
        }
        Ok(())
    }
}

/// Writes the one file of a `part` that has no rows.
pub fn write_whole(
    files: &ReviewFiles,
    review: &str,
    part: &str,
    value: &impl Serialize,
) -> io::Result<()> {
    let mut file = files.create(&format!("{DATA}/{part}.js"))?;
    writeln!(file, "{},{});", call(review, part, 0), json(value)?)
}

/// The start of a call, `review("…","list",1`.
fn call(review: &str, part: &str, number: u64) -> String {
    format!("review(\"{review}\",\"{part}\",{number}")
}

/// JSON that is also safe in a script: without `<`, which begins a tag or comment in HTML, and without
/// U+2028 and U+2029, which end a line of a script, but not of JSON.
fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::access::Access;

    #[test]
    fn rows_fill_files_and_no_value_ends_its_string() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DATA)).unwrap();
        let files = ReviewFiles::new(folder.path(), Access::Owner);
        let hostile = "</script><!-- \u{2028}\u{2029} ]]> \"'\\ \u{1b}";

        let mut rows = JsRows::new(&files, "r", "list", 2);
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
