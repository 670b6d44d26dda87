//! Replies for the tests of several modules.

use super::Reply;

/// The reply in one line, such as `550 5.1.1 no such user`, without CRLF.
pub fn reply(line: &str) -> Reply {
    let (code, text) = line.split_once(' ').unwrap_or((line, ""));
    let is_enhanced = |it: &str| {
        let numbers: Vec<_> = it.split('.').collect();
        numbers.len() == 3 && numbers.iter().all(|it| it.parse::<u16>().is_ok())
    };
    let (enhanced, text) = match text.split_once(' ') {
        Some((first, rest)) if is_enhanced(first) => (Some(first), rest),
        None if is_enhanced(text) => (Some(text), ""),
        _ => (None, text),
    };
    Reply {
        code: code.parse().unwrap(),
        enhanced: enhanced.map(str::to_owned),
        text: text.to_owned(),
    }
}
