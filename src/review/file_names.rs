//! The files of a review.

/// The folder of the messages.
pub const MESSAGES: &str = "messages";
/// The page.
pub const INDEX: &str = "index.html";
/// The folder of the data files.
pub const DATA: &str = "data";
/// The list that needs no script.
pub const LIST: &str = "list.html";
/// What a preview leaves to be approved; a new review begins without.
pub const APPROVAL: &str = "approval.txt";

/// What the page loads, the same for every review.
pub const PAGE: [(&str, &str); 2] = [
    ("review.css", include_str!("page/review.css")),
    ("review.js", include_str!("page/review.js")),
];
/// The page itself.
pub const INDEX_PAGE: &str = include_str!("page/index.html");
