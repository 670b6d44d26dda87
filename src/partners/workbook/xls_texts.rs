//! The table of shared texts in an `.xls` file, as far as their lengths.

use super::xls_records::{double_word, word};

/// How many bytes of UTF-8 each text of the shared table takes at most (MS-XLS §2.4.265, §2.5.293).
///
/// Ends early where the table is malformed; calamine ends there, too.
pub fn text_lengths(segments: &[&[u8]]) -> Vec<u64> {
    let mut lengths = Vec::new();
    let _ = add_lengths(segments, &mut lengths);
    lengths
}

/// Adds the lengths until the table ends or is malformed.
fn add_lengths(segments: &[&[u8]], lengths: &mut Vec<u64>) -> Option<()> {
    let mut segments = segments.iter().copied();
    let mut rest = segments.next().and_then(|it| it.get(8..)).unwrap_or(&[]);
    loop {
        if rest.is_empty() {
            rest = segments.next()?;
        }
        let (characters, flags) = (word(rest, 0)?, rest.get(2)?);
        let (rich, extended) = (flags & 8 != 0, flags & 4 != 0);
        let mut wide = flags & 1 != 0;
        rest = &rest[3..];
        let mut behind = 0;
        if rich {
            behind += 4 * usize::from(word(rest, 0).unwrap_or(0));
            rest = rest.get(2..).unwrap_or(&[]);
        }
        if extended {
            behind += double_word(rest, 0).unwrap_or(0);
            rest = rest.get(4..).unwrap_or(&[]);
        }
        lengths.push(3 * u64::from(characters));
        let mut left = usize::from(characters);
        while left > 0 {
            let width = if wide { 2 } else { 1 };
            let taken = left.min(rest.len() / width);
            left -= taken;
            rest = &rest[taken * width..];
            if left > 0 {
                // The characters go on behind a byte that says how wide they are from here on.
                let (flags, next) = segments.next()?.split_first()?;
                wide = flags & 1 != 0;
                rest = next;
            }
        }
        while behind > rest.len() {
            behind -= rest.len();
            rest = segments.next()?;
        }
        rest = &rest[behind..];
    }
}

#[cfg(test)]
mod tests {
    use super::text_lengths;

    #[test]
    fn lengths_are_found_across_continued_records() {
        let head = [0; 8];
        let narrow = [&[3, 0, 0][..], b"abc"].concat();
        let wide = [&[2, 0, 1][..], b"a\0b\0"].concat();
        // One run of a format and five bytes of phonetic text follow the characters.
        let rich = [&[1, 0, 8 | 4, 1, 0, 5, 0, 0, 0][..], b"x", &[0; 9]].concat();
        let first = [&head[..], &narrow, &wide, &rich, &[4, 0, 0], b"de"].concat();
        // The third text goes on in wide characters, and the fourth begins in the next segment.
        let second = [&[1][..], b"f\0g\0"].concat();

        let lengths = text_lengths(&[&first, &second, &narrow]);

        assert_eq!(lengths, [9, 6, 3, 12, 9]);
        assert_eq!(text_lengths(&[&first[..first.len() - 1]]), [9, 6, 3, 12]);
        assert!(text_lengths(&[&head[..4]]).is_empty());
        assert!(text_lengths(&[]).is_empty());
    }
}
