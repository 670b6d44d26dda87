//! What a relay offers in its answer to EHLO (RFC 5321 §4.1.1.1): the few things we use.

/// The extensions that matter to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EhloExtensions {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// The largest message in octets (SIZE, RFC 1870), where the relay names one.
    pub size: Option<usize>,
    /// The mechanisms of AUTH (RFC 4954), in upper case.
    pub auth: Vec<String>,
}

impl EhloExtensions {
    /// Reads the lines of the answer; the first is a greeting. Keywords count in any case.
    #[must_use]
    pub fn read(lines: &[String]) -> Self {
        let mut offers = Self::default();
        for line in lines.iter().skip(1) {
            // Old servers write `AUTH=LOGIN` beside, or in place of, `AUTH LOGIN`.
            let line = line.to_ascii_uppercase().replace(['=', ','], " ");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("PIPELINING") => offers.pipelining = true,
                // Zero means that there is no limit.
                Some("SIZE") => {
                    offers.size = words.next().and_then(|it| it.parse().ok());
                    offers.size = offers.size.filter(|it| *it > 0);
                }
                Some("AUTH") => {
                    for mechanism in words {
                        if !offers.auth.iter().any(|it| it == mechanism) {
                            offers.auth.push(mechanism.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        offers
    }

    /// Whether AUTH is offered with this mechanism.
    #[must_use]
    pub fn mechanism(&self, name: &str) -> bool {
        self.auth.iter().any(|it| it == name)
    }
}

#[cfg(test)]
mod tests {
    use super::EhloExtensions;

    fn read(lines: &[&str]) -> EhloExtensions {
        let lines: Vec<String> = lines.iter().map(|it| (*it).to_owned()).collect();
        EhloExtensions::read(&lines)
    }

    #[test]
    fn offers_are_read_in_any_case_and_old_spelling() {
        let offers = read(&[
            "AUTH STARTTLS greets",
            "starttls",
            "auth login PLAIN",
            "AUTH=LOGIN",
            "size 35882577",
            "Pipelining",
        ]);

        assert!(offers.starttls && offers.pipelining);
        assert_eq!(offers.size, Some(35_882_577));
        assert_eq!(offers.auth, ["LOGIN", "PLAIN"]);
        assert!(offers.mechanism("PLAIN") && !offers.mechanism("XOAUTH2"));
    }

    #[test]
    fn the_greeting_and_unknown_lines_offer_nothing() {
        assert_eq!(read(&["STARTTLS"]), EhloExtensions::default());
        assert_eq!(
            read(&["x", "", "STARTTLSX", "PIPELININGS", "XAUTH PLAIN", "AUTH"]),
            EhloExtensions::default()
        );
        for no_limit in ["SIZE", "SIZE 0", "SIZE many"] {
            assert_eq!(read(&["x", no_limit]), EhloExtensions::default());
        }
    }
}
