//! Checks the shipped mail against the HTML and CSS support of mail clients.
//!
//! Classic Outlook for Windows renders with Word; Outlook.com (and the new Outlook), Gmail and Yahoo
//! rewrite the page. The tables list the restrictions that matter for a mail without images. Each row names its
//! feature at caniemail.com (June 2026) and the clients that drop it, or the issue of hteumeuleu/email-bugs.

use crate::support::mail::Values;
use crate::support::page::{Element, Page, declarations};

/// Elements.
const ELEMENTS: [(&str, &str); 24] = [
    ("script", "all four"),
    ("iframe", "all four"),
    ("link", "html-link: Outlook.com, Gmail, Yahoo"),
    (
        "base",
        "html-base: Outlook.com, Gmail, Yahoo join it to links themselves",
    ),
    ("img", "needs the network, which readers switch off"),
    ("svg", "html-svg: all four"),
    ("video", "html-video: all four"),
    ("audio", "html-audio: all four"),
    ("object", "html-object: all four"),
    ("form", "html-form: Windows, Outlook.com"),
    ("button", "html-button-submit: Windows, Outlook.com"),
    ("input", "html-input-text: Windows"),
    ("select", "html-select: Windows"),
    ("dialog", "html-dialog: all four"),
    ("main", "html-semantics: all four"),
    ("nav", "html-semantics: all four"),
    ("details", "html-semantics: all four"),
    ("article", "html-semantics: Windows, Outlook.com, Yahoo"),
    ("section", "html-semantics: Windows, Outlook.com, Yahoo"),
    ("header", "html-semantics: Windows, Outlook.com, Yahoo"),
    ("footer", "html-semantics: Windows, Outlook.com, Yahoo"),
    ("marquee", "html-marquee: Windows, Gmail"),
    (
        "bdi",
        "html-bdi: all four; `<span dir=\"auto\">` isolates as well",
    ),
    (
        "wbr",
        "html-wbr: Windows, Gmail on iOS; nor may anything stand in the link",
    ),
];

/// Attributes, some of one element only, which then precedes them.
const ATTRIBUTES: [(&str, &str); 6] = [
    ("hidden", "html-hidden: all four"),
    ("background", "html-background: needs the network"),
    ("a dir", "html-dir: buggy in Windows"),
    ("td lang", "html-lang: Yahoo"),
    ("ol reversed", "html-lists: all four"),
    ("li value", "html-lists: Windows begins a new list"),
];

/// Properties that the layout must not depend on.
const PROPERTIES: [(&str, &str); 32] = [
    ("position", "css-position: Windows, Gmail"),
    ("top", "css-left-right-top-bottom: Windows, Gmail, Yahoo"),
    ("left", "css-left-right-top-bottom: Windows, Gmail, Yahoo"),
    ("inset", "css-inset: all four"),
    ("float", "css-float: Windows"),
    ("clear", "css-clear: Windows"),
    ("z-index", "css-z-index: Windows, Gmail"),
    ("flex", "css-display-flex: Windows"),
    ("gap", "css-gap: Windows, Yahoo"),
    ("grid-template-columns", "css-grid-template: all four"),
    (
        "background",
        "css-background: Windows takes a colour only, as `background-color`",
    ),
    ("background-image", "css-background-image: Windows"),
    ("box-shadow", "css-box-shadow: Windows, Gmail, Yahoo"),
    (
        "text-shadow",
        "css-text-shadow: Windows, Outlook.com, Gmail",
    ),
    ("opacity", "css-opacity: Windows"),
    ("filter", "css-filter: all four"),
    ("transform", "css-transform: all four"),
    ("transition", "css-transition: Windows, Outlook.com, Gmail"),
    ("animation", "css-animation: all four"),
    ("min-width", "css-min-width: Windows"),
    ("min-height", "css-min-height: Windows"),
    ("object-fit", "css-object-fit: Windows, Yahoo"),
    ("border-spacing", "css-border-spacing: Windows"),
    (
        "overflow-wrap",
        "css-overflow-wrap: all four; `word-wrap` stays",
    ),
    ("hyphens", "css-hyphens: all four"),
    ("text-wrap", "css-text-wrap: all four"),
    ("margin-inline", "css-margin-inline-block: all four"),
    (
        "margin-inline-start",
        "css-margin-inline-start-end: all four",
    ),
    ("padding-inline", "css-padding-inline-block: all four"),
    (
        "padding-inline-start",
        "css-padding-inline-start-end: all four",
    ),
    ("inline-size", "css-inline-size: all four"),
    ("user-select", "css-user-select: all four"),
];

/// Values, units and functions; some invalidate the whole attribute or style sheet.
const VALUES: [(&str, &str); 19] = [
    ("flex", "css-display-flex: Windows"),
    ("grid", "css-display-grid: Windows"),
    ("start", "css-text-align: Windows, Yahoo"),
    ("end", "css-text-align: Windows, Yahoo"),
    ("auto", "css-margin: Windows"),
    ("rem", "css-unit-rem: Windows, Yahoo"),
    ("vw", "css-unit-vw: Windows"),
    ("vh", "css-unit-vh: Windows"),
    ("ch", "css-unit-ch: Windows, Yahoo"),
    ("calc(", "css-unit-calc: Windows, Outlook.com, Yahoo"),
    ("min(", "css-function-min: Windows, Outlook.com, Yahoo"),
    ("max(", "css-function-max: Windows, Outlook.com, Yahoo"),
    ("clamp(", "css-function-clamp: Windows, Outlook.com, Yahoo"),
    ("var(", "css-variables: all four"),
    (
        "rgb",
        "css-rgb: Windows; Gmail drops the attribute at modern ones",
    ),
    ("rgba", "css-rgba: Windows"),
    (
        "oklch",
        "css-modern-color: all four, Gmail with the whole attribute",
    ),
    (
        "gradient(",
        "css-linear-gradient: Windows, Outlook.com, Yahoo",
    ),
    ("url(", "needs the network"),
];

/// Gmail took 8,192 characters of <style> for long, now 16 KB (email-bugs #90), and drops all of a larger one.
const STYLE_LIMIT: usize = 8_192;

/// Returns everything in the page that a mail client drops or breaks.
fn faults(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    for element in &page.elements {
        faults.extend(element_faults(element).into_iter().map(|it| {
            let class = element.get("class").unwrap_or_default();
            format!("<{} class=\"{class}\">: {it}", element.name)
        }));
    }
    for (sheet, in_head) in &page.sheets {
        if !in_head {
            faults.push("<style> stands in the body (html-style: Gmail)".into());
        }
        faults.extend(sheet_faults(sheet));
    }
    faults
}

fn element_faults(element: &Element) -> Vec<String> {
    let name = element.name.as_str();
    let mut faults = Vec::new();
    faults.extend(listed(&ELEMENTS, name));
    for (key, _) in &element.attributes {
        faults.extend(listed(&ATTRIBUTES, key));
        faults.extend(listed(&ATTRIBUTES, &format!("{name} {key}")));
    }
    let style = element.get("style").unwrap_or_default();
    if style.contains("/*") {
        faults.push("a comment in `style` (css-comments: some drop the attribute)".into());
    }
    if style.contains("!important") {
        faults.push("`!important` in `style` (email-bugs #31: Outlook drops it)".into());
    }
    for (property, value) in element.declarations() {
        faults.extend(declaration_faults(property, value));
        faults.extend(box_faults(element, property, value));
    }
    let cell_defaults = ["cellspacing", "cellpadding", "border"];
    if name == "table" && element.get("role") != Some("presentation") {
        faults.push("a table without `role=\"presentation\"` is read out as one".into());
    }
    if name == "table" && cell_defaults.iter().any(|it| element.get(it) != Some("0")) {
        faults.push("a table with Word's own gaps: cellspacing, cellpadding or border".into());
    }
    faults
}

/// Layout problems in Word, unless a conditional comment corrects them or hides the element.
fn box_faults(element: &Element, property: &str, value: &str) -> Option<String> {
    let name = element.name.as_str();
    let cell = ["td", "th"].contains(&name);
    let nothing = value.split(' ').all(|it| it == "0");
    if element.beside_word || nothing {
        return None;
    }
    let source = match property {
        "padding" if !cell => "css-padding: Windows pads cells only",
        "max-width" if name != "table" => "css-max-width: Windows, but on tables",
        "max-width"
            if !(element.after.starts_with("[if mso]") && element.after.contains("width=")) =>
        {
            "css-max-width: Windows wants a table with a width around it"
        }
        "width" if !cell && name != "table" => "css-width: Windows",
        "height" if !cell && name != "table" => "css-height: Windows",
        // Word draws its own line for a rule.
        "border" | "border-top" | "border-bottom" if !cell && !["table", "hr"].contains(&name) => {
            "css-border: unreliable in Windows, but on cells"
        }
        _ => return None,
    };
    Some(format!("`{property}: {value}` ({source})"))
}

/// Faults of a declaration that do not depend on its element.
fn declaration_faults(property: &str, value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    faults.extend(listed(&PROPERTIES, property));
    if property.starts_with("--") {
        faults.push(format!(
            "`{property}` (css-variables: Outlook, Gmail, Yahoo)"
        ));
    }
    let words = value.split([' ', ',']);
    for word in words.filter(|it| !it.starts_with(['"', '\'', '#'])) {
        // The unit, the function, or the word itself.
        let word = word.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
        let word = word.split_inclusive('(').next().unwrap_or_default();
        let margin = property.starts_with("margin");
        if word == "auto" && !margin {
            continue;
        }
        if margin && word.starts_with('-') {
            faults.push(format!(
                "`{value}` (css-margin: no negative ones but in Apple Mail)"
            ));
        }
        let function = word.trim_end_matches('(');
        let found = listed(&VALUES, word).or_else(|| listed(&VALUES, function));
        faults.extend(found.map(|it| format!("{property}: {it}")));
    }
    faults
}

fn sheet_faults(sheet: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |it: String| faults.push(format!("<style>: {it}"));
    if sheet.len() > STYLE_LIMIT {
        say(format!(
            "{} characters; Gmail drops what is longer",
            sheet.len()
        ));
    }
    if sheet.contains("/*") {
        say("a comment (email-bugs #25: the rule behind it is dropped)".into());
    }
    if sheet.matches('{').count() != sheet.matches('}').count() {
        say("unbalanced braces, so Gmail drops all of it".into());
    }
    let mut depth = 0_i32;
    let mut rest = sheet;
    while let Some(place) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(place);
        let before = before.trim();
        rest = &after[1..];
        if after.starts_with('}') {
            depth -= 1;
            for (property, value) in declarations(before) {
                if let Some(bare) = value.strip_suffix("!important")
                    && !bare.ends_with(' ')
                {
                    say("`!important` without a space before (css-important: Outlook)".into());
                }
                let value = value.trim_end_matches("!important").trim();
                declaration_faults(property, value)
                    .into_iter()
                    .for_each(&mut say);
            }
            continue;
        }
        depth += 1;
        let media = before.strip_prefix("@media ");
        if media.is_none() && before.starts_with('@') {
            say(format!(
                "`{before}` (css-at-import, css-at-supports, css-at-font-face: Gmail, Outlook.com)"
            ));
        }
        if depth > 1 + i32::from(media.is_none()) {
            say(format!("`{before}` is nested (css-at-media, css-nesting)"));
        }
        let known = ["(min-width:", "(max-width:", "(prefers-color-scheme:"];
        if media.is_some_and(|it| {
            it.contains(" and ") || !known.iter().any(|known| it.starts_with(known))
        }) {
            say(format!("`{before}` (css-at-media: Gmail, Yahoo)"));
        }
        let simple = |it: &str| {
            let name = it.trim().trim_start_matches('.');
            name == ":root"
                || (!name.is_empty()
                    && name
                        .chars()
                        .all(|it| it.is_ascii_alphanumeric() || it == '-'))
        };
        if !before.starts_with('@') && !before.split(',').all(simple) {
            say(format!(
                "`{before}` is more than a class (css-selector-attribute, css-selector-chaining, css-pseudo-class-not …)"
            ));
        }
    }
    faults
}

fn listed(table: &[(&str, &str)], name: &str) -> Option<String> {
    let found = table.iter().find(|(it, _)| *it == name);
    found.map(|(name, source)| format!("`{name}` ({source})"))
}

#[test]
fn mail_clients_support_all_css_of_the_shipped_mail() {
    let long = Values::all("Contoso & Söhne");
    for mail in Values::BARE
        .in_every_locale()
        .iter()
        .chain(&long.in_every_locale())
    {
        let page = Page::read(&mail.html);
        assert_eq!(faults(&page), [""; 0], "{}", mail.locale);
        assert!(page.elements.len() > 50, "{}", page.elements.len());
        assert_eq!(page.sheets.len(), 1);
    }
}

#[test]
fn outlook_gets_an_installed_font() {
    for mail in Values::BARE.in_every_locale() {
        let for_word = mail.html.split("<!--[if mso]>").nth(1).unwrap();
        assert!(for_word.contains("font-family:\"Segoe UI\",Arial,sans-serif !important"));
    }
}

#[test]
fn every_color_has_a_dark_variant() {
    // The button is the same in both.
    const BUTTON: [&str; 2] = ["#008475", "#ffffff"];
    for mail in Values::all("Contoso").in_every_locale() {
        let page = Page::read(&mail.html);
        let (sheet, _) = &page.sheets[0];
        let (_, dark) = sheet.split_once("(prefers-color-scheme:dark) {").unwrap();
        let rules = dark.split('}').filter_map(|it| it.split_once('{'));
        let changed: Vec<(&str, &str)> = rules
            .flat_map(|(selectors, rule)| {
                let classes = selectors
                    .split(',')
                    .map(|it| it.trim().trim_start_matches('.'));
                classes.flat_map(|class| {
                    declarations(rule)
                        .into_iter()
                        .map(move |(it, _)| (class, it))
                })
            })
            .collect();

        for element in &page.elements {
            let class = element.get("class").unwrap_or_default();
            for (property, value) in element.declarations() {
                let colour = ["color", "background-color"].contains(&property);
                if !colour || BUTTON[0] == value || (class == "button" && BUTTON[1] == value) {
                    continue;
                }
                let known = class.split(' ').any(|it| changed.contains(&(it, property)));
                assert!(
                    known,
                    "<{} class=\"{class}\"> keeps its {property} {value} in the dark",
                    element.name
                );
            }
        }
    }
}

/// Counterpart: each row of the table detects its feature.
#[test]
fn unsupported_css_is_detected() {
    const H1: &str = "<h1 class=\"heading\" style=\"";
    let html = &Values::BARE.in_every_locale()[0].html;
    let within = |place: &'static str, new: &str| (place, format!("{place}{new}"));
    let swap = |place: &'static str, by: &str| (place, by.to_owned());
    let wide = "@media (min-width:560px) {";
    let mut broken = vec![
        (swap(":root", "/* dark */ :root"), "email-bugs #25"),
        (within(":root {", "} }"), "unbalanced braces"),
        (within(":root { ", "--ink: red; "), "css-variables"),
        (within(":root { ", &"a".repeat(STYLE_LIMIT)), "Gmail drops"),
        (
            swap(wide, &format!("@supports (x) {{}} {wide}")),
            "css-at-supports",
        ),
        (within(wide, " @media (max-width: 1px) {}"), "is nested"),
        (within("(min-width:560px)", " and (hover)"), "css-at-media"),
        (
            swap("(min-width:560px)", "(min-height:560px)"),
            "css-at-media",
        ),
        (swap(".heading {", ".heading.text {"), "more than a class"),
        (swap(".heading {", "[class] {"), "more than a class"),
        (
            swap(".heading {", ".card > .heading {"),
            "more than a class",
        ),
        (swap("20px !important", "20px!important"), "without a space"),
        (within("<body", "><style></style><p"), "stands in the body"),
        (within(H1, "padding:4px;"), "pads cells only"),
        (within(H1, "border-top:1px solid #000000;"), "css-border"),
        (within(H1, "width:50%;"), "css-width"),
        (within(H1, "max-width:90%;"), "css-max-width"),
        (within(H1, "height:90px;"), "css-height"),
        (within(H1, "margin:-4px 0;"), "no negative ones"),
        (within(H1, "color:#ffffff !important;"), "email-bugs #31"),
        (within(H1, "color:#ffffff/* */;"), "css-comments"),
        (
            swap("<!--[if mso]><table", "<!--[if lte ie]><table"),
            "a table with a width",
        ),
        (swap(" role=\"presentation\"", ""), "read out"),
        (
            swap("<table", "<table cellspacing=\"1\""),
            "Word's own gaps",
        ),
        (swap("<!--[if !mso]><!-->", ""), "pads cells only"),
    ];
    for (name, source) in ELEMENTS {
        broken.push((
            within("<h1", &format!(">x</h1><{name}></{name}><h1")),
            source,
        ));
    }
    for (name, source) in ATTRIBUTES {
        let (element, attribute) = name.split_once(' ').unwrap_or(("h1", name));
        let tag = format!(">x</h1><{element} {attribute}=\"1\"></{element}><h1");
        broken.push((within("<h1", &tag), source));
    }
    for (property, source) in PROPERTIES {
        broken.push((within(H1, &format!("{property}:inherit;")), source));
    }
    for (value, source) in VALUES {
        let value = match value {
            it if it.ends_with('(') => format!("{it}1px,2px)"),
            "rgb" | "rgba" | "oklch" => format!("{value}(0 0 0 / 1)"),
            "rem" | "vw" | "vh" | "ch" => format!("1.5{value}"),
            it => it.to_owned(),
        };
        broken.push((within(H1, &format!("margin:{value};")), source));
    }

    for ((place, by), source) in broken {
        assert!(html.contains(place), "{place}");
        let faults = faults(&Page::read(&html.replacen(place, &by, 1)));
        assert!(
            faults.iter().any(|it| it.contains(source)),
            "{by:.80}: {source} is not in {faults:?}"
        );
    }
}
