//! As much of Markdown as the documents use: sections, tables, code blocks, code spans and links.

/// A code block between fences, with its language.
pub struct CodeBlock<'a> {
    pub language: &'a str,
    pub text: String,
}

/// All code blocks between fences.
pub fn code_blocks(text: &str) -> Vec<CodeBlock<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<CodeBlock<'_>> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(CodeBlock {
                    language,
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    blocks
}

/// The lines outside of code blocks.
pub fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence && !line.starts_with("    ")
    })
}

/// A text without its code blocks.
pub fn without_blocks(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// The texts of code spans.
pub fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The section under a heading, up to the next heading of the same or a higher level.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = format!("\n{heading}\n");
    let (_, section) = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("there is no heading `{heading}`"));
    let level = heading.split(' ').next().unwrap_or_default().len();
    let ends = (1..=level).filter_map(|it| section.find(&format!("\n{} ", "#".repeat(it))));
    ends.min().map_or(section, |end| &section[..end])
}

/// A table: its header, and its rows cell by cell.
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The code spans in the first cells of all rows.
    pub fn keys(&self) -> Vec<&str> {
        let first = self.rows.iter().map(|it| code_spans(&it[0]));
        first.flatten().collect()
    }
}

/// All tables.
pub fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let is_row = line.starts_with('|');
        if is_row && !inside {
            tables.push(Table {
                header: cells(line),
                rows: Vec::new(),
            });
        } else if let (true, Some(table)) = (is_row && !line.starts_with("|--"), tables.last_mut())
        {
            let cells = cells(line);
            assert_eq!(cells.len(), table.header.len(), "{line}");
            table.rows.push(cells);
        }
        inside = is_row;
    }
    tables
}

/// All tables whose first header is this.
pub fn tables_of(text: &str, header: &str) -> Vec<Table> {
    let mut found = tables(text);
    found.retain(|it| it.header[0] == header);
    assert!(!found.is_empty(), "there is no table with `{header}`");
    found
}

/// The cells of a row; `\|` is no delimiter.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_matches('|').replace("\\|", "\0");
    let cells = line.split('|');
    cells.map(|it| it.trim().replace('\0', "|")).collect()
}

/// The anchors of all headings, as GitHub makes them.
pub fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|it| it.starts_with('#'));
    headings
        .map(|it| {
            let words = it.trim_start_matches('#').trim().to_lowercase();
            let kept = |it: &char| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_');
            words.chars().filter(kept).collect::<String>()
        })
        .map(|it| it.replace(' ', "-"))
        .collect()
}

/// The targets of all links and pictures.
pub fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        // What stands in code is no link.
        let outside: String = line.split('`').step_by(2).collect();
        let marked = outside.split("](").skip(1);
        links.extend(marked.filter_map(|it| Some(it.split_once(')')?.0.to_owned())));
        for attribute in ["src=\"", "srcset=\""] {
            let named = outside.split(attribute).skip(1);
            links.extend(named.filter_map(|it| Some(it.split_once('"')?.0.to_owned())));
        }
    }
    links
}
