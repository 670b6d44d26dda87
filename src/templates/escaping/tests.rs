//! No template lets a value through unescaped: templates of every construct of Tera 2, made at
//! random, are rendered with a value that would be markup.

use std::collections::BTreeSet;

use fastrand::Rng;
use proptest::prelude::*;
use tera::Context;

use super::*;

/// What a partner could have in a cell.
const HOSTILE: &str = "<x a=\"1\" b='2'>&lt;\n&amp;";

proptest! {
    #[test]
    fn values_are_escaped_as_by_tera(text in "([&<>\"']|.){0,20}") {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        super::escape(&text, &mut ours).unwrap();
        tera::escape_html(&text, &mut theirs).unwrap();
        prop_assert_eq!(ours, theirs);
    }
}

/// Makes templates at random.
struct Maker {
    rng: Rng,
    /// How deep the next construct may go.
    depth: u32,
    /// Which constructs were used.
    used: BTreeSet<&'static str>,
    /// Whether blocks may be written.
    blocks: Option<u32>,
}

impl Maker {
    fn one(&mut self, choices: &[&'static str]) -> &'static str {
        let chosen = choices[self.rng.usize(..choices.len())];
        self.used.insert(chosen);
        chosen
    }

    fn blank(&mut self) -> &'static str {
        ["", " ", "\n  ", "\t"][self.rng.usize(..4)]
    }

    /// A filter with its arguments.
    fn filter(&mut self) -> String {
        let name = self.one(&[
            "upper",
            "lower",
            "capitalize",
            "title",
            "trim",
            "trim_start",
            "trim_end",
            "replace",
            "replace lt",
            "truncate",
            "indent",
            "str",
            "escape",
            "escape_html",
            "escape_xml",
            "newlines_to_br",
            "reverse",
            "split",
            "split join",
            "list first",
            "default",
            "wordcount",
            "length",
            "safe",
            "default text",
        ]);
        let pattern = ["x", "&lt;", "&", "lt;", "&amp;", "#39;"][self.rng.usize(..6)];
        match name {
            "trim" | "trim_start" | "trim_end" if self.rng.bool() => {
                format!("{name}(pat=\"{pattern}\")")
            }
            "replace" => {
                let to = self.expression();
                format!("replace(from=\"{pattern}\", to={to})")
            }
            // The markup that an escaped character stands for.
            "replace lt" => format!("replace(from=\"{pattern}\", to=lt)"),
            "truncate" => format!("truncate(length={})", self.rng.u8(..12)),
            "indent" => "indent(width=2, first=true)".into(),
            "split" => format!("split(pat=\"{pattern}\")"),
            "split join" => {
                let separator = self.expression();
                format!("split(pat=\"{pattern}\") | join(sep={separator})")
            }
            "list first" => "split(pat=\"y\") | first".into(),
            "default" => format!("default(value={})", self.expression()),
            "default text" => "default(value=text)".into(),
            "safe" => format!("safe{}", self.blank()),
            plain => plain.into(),
        }
    }

    fn expression(&mut self) -> String {
        if self.depth == 0 {
            return self.one(&["text", "map.text", "list[0]", "markup"]).into();
        }
        self.depth -= 1;
        let kind = self.one(&[
            "value",
            "literal",
            "concatenation",
            "conditional",
            "list",
            "map",
            "piped",
            "slice",
            "comprehension",
            "or",
            "called",
            "super",
        ]);
        let made = match kind {
            "literal" => "\"a<b>&\"".into(),
            "concatenation" => format!("{} ~ {}", self.expression(), self.expression()),
            "conditional" => format!(
                "({} if {} else {})",
                self.expression(),
                self.expression(),
                self.expression()
            ),
            "list" => format!("[{}, {}]", self.expression(), self.expression()),
            "map" => format!("{{\"k\": {} }}", self.expression()),
            "piped" => {
                let inner = self.expression();
                let (before, behind) = (self.blank(), self.blank());
                format!("({inner}){before}|{behind}{}", self.filter())
            }
            "slice" => format!("({})[:5]", self.expression()),
            "comprehension" => format!("[it for it in [{}]]", self.expression()),
            "or" => format!("({} or {})", self.expression(), self.expression()),
            "called" => format!("<component.shown value={{{} }} />", self.expression()),
            "super" if self.blocks.is_none() => "super()".into(),
            _ => "text".into(),
        };
        self.depth += 1;
        made
    }

    fn printed(&mut self) -> String {
        let (before, behind) = (self.blank(), self.blank());
        format!("{{{{{before} {} {behind}}}}}", self.expression())
    }

    /// A piece of a template.
    fn node(&mut self) -> String {
        if self.depth == 0 {
            return self.printed();
        }
        self.depth -= 1;
        let kind = self.one(&[
            "text",
            "print",
            "if",
            "for",
            "for pairs",
            "set",
            "set_global",
            "set block",
            "set block filtered",
            "filter block",
            "include html",
            "include txt",
            "raw",
            "comment",
            "component with body",
            "block",
        ]);
        let made = match kind {
            "text" => "x y".into(),
            "if" => format!(
                "{{% if {} %}}{}{{% else %}}{}{{% endif %}}",
                self.expression(),
                self.node(),
                self.node()
            ),
            "for" => format!(
                "{{% for it in [{}, text] %}}{{{{ it }}}}{}{{% endfor %}}",
                self.expression(),
                self.node()
            ),
            "for pairs" => "{% for key, value in map %}{{ key }}{{ value }}{% endfor %}".into(),
            "set" => format!("{{% set var = {} %}}{{{{ var }}}}", self.expression()),
            "set_global" => {
                format!(
                    "{{% set_global var = {} %}}{{{{ var }}}}",
                    self.expression()
                )
            }
            "set block" => {
                let (inner, filter) = (self.node(), self.filter());
                format!("{{% set var %}}{inner}{{% endset %}}{{{{ var | {filter} }}}}{{{{ var }}}}")
            }
            "set block filtered" => {
                let (inner, filter) = (self.node(), self.filter());
                format!("{{% set var | {filter} %}}{inner}{{% endset %}}{{{{ var }}}}")
            }
            "filter block" => {
                let (blank, filter) = (self.blank(), self.filter());
                format!(
                    "{{% filter {blank}{filter} %}}{}{{% endfilter %}}",
                    self.node()
                )
            }
            "include html" => "{% include \"part.html\" %}".into(),
            "include txt" => "{% include \"part.txt\" %}".into(),
            "raw" => "{% raw %}{{ text | safe }}{% endraw %}".into(),
            "comment" => "{# {{ text | safe }} #}".into(),
            "component with body" => {
                let value = self.expression();
                let blocks = self.blocks.take();
                let inner = self.node();
                self.blocks = blocks;
                format!(
                    "{{% <component.around value={{{value} }}> %}}{inner}{{% </component.around> %}}"
                )
            }
            "block" => match self.blocks {
                Some(number) => {
                    self.blocks = Some(number + 1);
                    let inner = self.printed();
                    format!("{{% block b{number} %}}{inner}{{% endblock %}}")
                }
                None => self.printed(),
            },
            _ => self.printed(),
        };
        self.depth += 1;
        made
    }
}

/// Names for what the templates use: captured markup, and a value in it.
const PREAMBLE: &str = "{% set lt %}<{% endset %}{% set markup %}{{ text }}{% endset %}";

/// A template, and those that it uses.
fn make(seed: u64, used: &mut BTreeSet<&'static str>) -> Vec<(String, String)> {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        depth: 3,
        used: std::mem::take(used),
        blocks: Some(0),
    };
    let page = format!("{PREAMBLE}{}{}", maker.node(), maker.node());
    maker.blocks = None;
    // A child that overrides a block of the page, whose parent may be a text.
    let child = format!(
        "{{% extends \"parent.txt\" %}}{{% block main %}}{PREAMBLE}{}{{{{ super() }}}}{{% endblock %}}",
        maker.node()
    );
    *used = maker.used;
    let mut files = vec![("page.html".into(), page), ("child.html".into(), child)];
    let others = [
        (
            "parent.txt",
            "{% block main %}{{ text }}{{ text | upper }}{% endblock %}",
        ),
        ("part.html", "{{ text }}{{ map }}"),
        (
            "part.txt",
            "{{ text }}{{ list }}{% set var %}{{ text }}{% endset %}{{ var }}",
        ),
        (
            "components.txt",
            "{% component component.shown(value) %}{{ value }}{{ [value] }}{% endcomponent %}{% component component.around(value) %}{{ body }}{{ value }}{{ body | upper }}{% endcomponent %}",
        ),
    ];
    files.extend(others.map(|(name, text)| (name.to_owned(), text.to_owned())));
    files
}

/// What would be markup. The templates themselves print none of these characters.
fn unescaped(html: &str) -> Option<char> {
    html.chars().find(|it| matches!(it, '<' | '>' | '"' | '\''))
}

#[test]
fn r18_no_construct_of_tera_lets_a_value_through_unescaped() {
    let mut context = Context::new();
    context.insert("text", HOSTILE);
    context.insert("list", &[HOSTILE, "b"]);
    context.insert(
        "map",
        &[("text", HOSTILE)]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
    );
    let (mut used, mut last) = (BTreeSet::new(), String::new());
    let (mut loaded, mut rendered, mut refused) = (0, 0, 0);
    for seed in 0..6_000 {
        let files = make(seed, &mut used);
        let sources: Vec<_> = files.iter().filter(|it| it.0.ends_with(".html")).collect();

        let mut tera = engine();
        // Some go beyond a limit of Tera, such as lists in lists in lists.
        if let Err(error) = tera.add_raw_templates(files.clone()) {
            last = error.to_string();
            continue;
        }
        loaded += 1;
        for page in ["page.html", "child.html"] {
            match tera.render(page, &context) {
                Ok(html) => {
                    assert_eq!(unescaped(&html), None, "{seed}: {html}\n{sources:#?}");
                    rendered += u32::from(html.contains("&lt;x"));
                }
                Err(error) => refused += u32::from(whole(&error).contains(SAFE_IS_REFUSED)),
            }
        }
    }
    assert!(loaded > 4_500, "{loaded} {last}");
    assert!(rendered > 2_000 && refused > 200, "{rendered} {refused}");
    assert!(used.len() > 50, "{used:?}");
}

/// An error with its causes.
fn whole(error: &tera::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text} {cause}");
        source = cause.source();
    }
    text
}

/// Renders a page on its own.
fn render(source: &str) -> Result<String, String> {
    let mut tera = engine();
    let component = "{% component c(value) %}{{ value }}{% endcomponent %}";
    tera.add_raw_templates([("component.html", component), ("page.html", source)])
        .map_err(|error| whole(&error))?;
    let mut context = Context::new();
    context.insert("text", "a & b");
    tera.render("page.html", &context)
        .map_err(|error| whole(&error))
}

#[test]
fn r18_the_filter_safe_is_refused_in_every_position() {
    for source in [
        "{{ text | safe }}",
        "{{ text |\n safe }}",
        "{{ text\n|\n\nsafe\n}}",
        "{{-text|upper|safe-}}",
        "{{ text | safe() }}",
        "{% filter safe %}{{ text }}{% endfilter %}",
        "{%- filter\n safe -%}{{ text }}{% endfilter %}",
        "{% filter upper | safe %}{{ text }}{% endfilter %}",
        "{% set y = text | safe %}",
        "{% set_global y | safe %}{{ text }}{% endset %}",
        "{% if text | safe %}{% endif %}",
        "{% for y in [text | safe] %}{% endfor %}",
        "{{ <c value={text | safe} /> }}",
        "{{ {\"a\": text | safe} }}",
        "{{ \"}}\" ~ text | safe }}",
        "{{ ['\\''] | first | safe }}",
        "{# a #}{{ text | safe }}",
        "{% raw %}{% endraw %}{{ text | safe }}",
    ] {
        let refused = render(source).unwrap_err();
        assert!(refused.contains(SAFE_IS_REFUSED), "{source:?}: {refused}");
    }
    for source in [
        "{{ \"| safe\" }} | safe",
        "{# {{ text | safe }} #}",
        "{% raw %}{{ text | safe }}{% endraw %}",
        "{% set filter = 1 %}{% set safe = 2 %}{{ safe }}",
    ] {
        assert!(render(source).is_ok(), "{source:?}");
    }
}

#[test]
fn r18_the_line_of_the_filter_safe_is_found() {
    for (source, line) in [
        ("{{ x | safe }}", Some(1)),
        ("{{ x\n|\n\nsafe\n}}", Some(4)),
        ("{{-x|upper|safe-}}", Some(1)),
        ("{%- filter\n safe -%}{{ x }}{% endfilter %}", Some(2)),
        ("{% filter upper | safe %}{{ x }}{% endfilter %}", Some(1)),
        ("{{ y }}{% for y in [x | safe] %}{% endfor %}", Some(1)),
        ("{# {{ x | safe }} #}", Some(1)),
        ("{{ x | safety }} {{ safe }} {{ x.safe }} | safe", None),
        ("{% set filter = 1 %}{% set safe = 2 %}", None),
        ("{{", None),
        ("", None),
    ] {
        assert_eq!(line_with_safe(source), line, "{source:?}");
    }
}

#[test]
fn r18_replace_keeps_the_escaping() {
    let plain = render("{{ text | replace(from=\"a\", to=\"<\") }}");
    assert_eq!(plain.unwrap(), "&lt; &amp; b");
    let block = "{% filter replace(from=\"b\", to=\"<\") %}{{ text }}{% endfilter %}";
    assert_eq!(render(block).unwrap(), "a &amp; &lt;");
    let undone = "{% set amp %}&{% endset %}{% filter replace(from=\"&amp;\", to=amp) %}{{ text }}{% endfilter %}";
    let error = render(undone).unwrap_err();
    assert!(error.contains("takes no markup"), "{error}");
}
